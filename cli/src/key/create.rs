//! `aimass key create`: a new key. [`wanted`] and [`object`] are pure; [`run`] draws the token, applies, and tells.

use aimass_chassis::clock;
use aimass_crds::network::Cidr;
use aimass_crds::{APIKey, APIKeySpec};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};

use super::{credential, draw, full_name};
use crate::args::{CreateArgs, Output};
use crate::client::{Cluster, Target, Trouble, answered};
use crate::edit::MANAGER;
use crate::names;
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;
use crate::token::Token;
use crate::when;

const COMMAND: &str = "key create";
const MAX_MODELS: usize = 16;
const MAX_CIDRS: usize = 16;
const MAX_OWNER: usize = 253;
const MAX_DESCRIPTION: usize = 256;

/// The key to make, checked.
#[derive(Debug)]
struct Wanted {
    name: String,
    /// Still without credentials.
    spec: APIKeySpec,
    store: Store,
    output: Output,
    target: Target,
}

/// What becomes of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    InTheCluster,
    Nowhere,
}

/// Makes the key.
pub(super) async fn run(args: CreateArgs) -> Result<Outcome, Failure> {
    let wanted = wanted(args, clock::now())?;
    let token = draw()?;
    match wanted.store {
        Store::Nowhere => {
            let namespace = wanted.target.namespace.clone();
            told(wanted, &token, namespace)
        }
        Store::InTheCluster => {
            let cluster = Cluster::connect(wanted.target.clone()).await?;
            create(&cluster, wanted, &token).await
        }
    }
}

/// What `args` mean at `now`.
fn wanted(args: CreateArgs, now: Timestamp) -> Result<Wanted, Failure> {
    let CreateArgs {
        name,
        model,
        plan,
        owner,
        description,
        expires,
        allow_cidr,
        dry_run,
        output,
        cluster,
    } = args;
    let mut problems = Problems::default();
    let name = problems.take("NAME", names::object(&name));
    let spec = APIKeySpec {
        owner: owner.and_then(|text| bounded("--owner", text, MAX_OWNER, &mut problems)),
        description: description
            .and_then(|text| bounded("--description", text, MAX_DESCRIPTION, &mut problems)),
        models: models(model, &mut problems),
        plan: plan.and_then(|plan| problems.take("--plan", names::plan(&plan))),
        credentials: Vec::new(),
        expires_at: expires
            .and_then(|text| problems.take("--expires", when::until(&text, now)))
            .map(Time),
        disabled: None,
        allowed_cidrs: cidrs(allow_cidr, &mut problems),
    };
    let target = Target::of(cluster, &mut problems);
    let store = match (dry_run, output) {
        (false, _) => Store::InTheCluster,
        (true, Output::Yaml) => Store::Nowhere,
        (true, Output::Token) => {
            let rule = "needs -o yaml: a token whose hash is nowhere opens nothing";
            problems.add("--dry-run", rule);
            Store::Nowhere
        }
    };
    let made = name.map(|name| Wanted {
        name,
        spec,
        store,
        output,
        target,
    });
    problems.finish(COMMAND, made)
}

fn bounded(flag: &str, text: String, most: usize, problems: &mut Problems) -> Option<String> {
    let length = text.chars().count();
    if length > most {
        problems.add(
            flag,
            format!("must have at most {most} characters, has {length}"),
        );
    }
    (length <= most).then_some(text)
}

fn models(given: Vec<String>, problems: &mut Problems) -> Vec<String> {
    const FLAG: &str = "--model";
    if given.is_empty() {
        let rule = "must be given: the name of a ModelDeployment, or '*' for all of the namespace";
        problems.add(FLAG, rule);
    }
    let mut models: Vec<String> = Vec::new();
    for model in given {
        let Some(model) = problems.take(FLAG, names::model(&model)) else {
            continue;
        };
        if models.contains(&model) {
            problems.add(
                FLAG,
                format!("must name each model once, names {model} twice"),
            );
        } else {
            models.push(model);
        }
    }
    if models.iter().any(|model| model == "*") && models.len() > 1 {
        problems.add(FLAG, "'*' must stand alone: it means all models already");
    }
    if models.len() > MAX_MODELS {
        let count = models.len();
        let rule = format!(
            "must be given at most {MAX_MODELS} times, is {count}: take '*', or make several keys"
        );
        problems.add(FLAG, rule);
    }
    models
}

fn cidrs(given: Vec<String>, problems: &mut Problems) -> Option<Vec<Cidr>> {
    const FLAG: &str = "--allow-cidr";
    if given.len() > MAX_CIDRS {
        let count = given.len();
        problems.add(
            FLAG,
            format!("must be given at most {MAX_CIDRS} times, is {count}"),
        );
    }
    let cidrs: Vec<_> = given.into_iter().map(Cidr).collect();
    for cidr in &cidrs {
        if cidr.get().is_none() {
            let seen: String = cidr.0.chars().take(64).collect();
            let rule = format!("must be a range such as 10.0.0.0/8 or 2001:db8::/32, is {seen:?}");
            problems.add(FLAG, rule);
        }
    }
    // An empty list would be a field of ours that says nothing.
    (!cidrs.is_empty()).then_some(cidrs)
}

/// The object that stands for `token`.
fn object(name: &str, spec: APIKeySpec, token: &Token, namespace: Option<String>) -> APIKey {
    let spec = APIKeySpec {
        credentials: vec![credential(token)],
        ..spec
    };
    let mut object = APIKey::new(name, spec);
    object.metadata.namespace = namespace;
    object
}

/// Stores the object of `token`, unless there is one of its name.
async fn create(cluster: &Cluster, wanted: Wanted, token: &Token) -> Result<Outcome, Failure> {
    let namespace = Some(cluster.namespace.clone());
    let (name, spec) = (&wanted.name, wanted.spec.clone());
    let mut object = object(name, spec, token, namespace.clone());
    // A version that no object has: an apply onto an existing object is refused with 409, and on an absent one it
    // creates, because there the version is ignored (docs/adr/0001-create-only-apply.md).
    object.metadata.resource_version = Some("1".to_owned());
    // Strict: definitions that are older than this program would drop what they do not know, be it a restriction.
    let params = PatchParams::apply(MANAGER).validation_strict();
    let (keys, apply) = (cluster.keys(), Patch::Apply(&object));
    match answered(keys.patch(&wanted.name, &params, &apply)).await {
        Ok(_) => told(wanted, token, namespace),
        Err(trouble) => Err(not_created(cluster, &wanted.name, &trouble)),
    }
}

fn not_created(cluster: &Cluster, name: &str, trouble: &Trouble) -> Failure {
    let (full, namespace) = (full_name(cluster, name), &cluster.namespace);
    Failure::new(match trouble {
        Trouble::Conflict(_) => format!(
            "{full} exists already and was left as it is: choose another name; or give it a new token by \
             `aimass key rotate {name} -n {namespace}`; or delete it by `kubectl delete apikey {name} -n {namespace}` \
             and create it again"
        ),
        Trouble::Silent(_) => format!(
            "failed to create {full}: {trouble}. It may be there, and its token is lost: delete it by \
             `kubectl delete apikey {name} -n {namespace}` and create it again"
        ),
        Trouble::NotFound(_) | Trouble::NoKind | Trouble::Refused(_) => {
            format!("failed to create {full}: {trouble}")
        }
    })
}

/// What is printed once the key is made.
fn told(wanted: Wanted, token: &Token, namespace: Option<String>) -> Result<Outcome, Failure> {
    let Wanted {
        name,
        spec,
        store,
        output,
        target: _,
    } = wanted;
    let object = object(&name, spec, token, namespace);
    let token = token.expose();
    let advice = advice(&object, store);
    Ok(match output {
        Output::Token => {
            let intro = "The token above is shown this once: the cluster has only its hash.";
            Outcome::done(format!("{token}\n"), format!("{intro}\n{advice}"))
        }
        Output::Yaml => {
            let yaml = serde_saphyr::to_string(&object)
                .map_err(|error| Failure::new(format!("failed to write YAML: {error}")))?;
            let intro =
                "The token is shown this once; the manifest has only its hash, and may lie in Git:";
            Outcome::done(yaml, format!("{intro}\n\n{token}\n\n{advice}"))
        }
    })
}

/// What the key is good for, and how it is used.
fn advice(object: &APIKey, store: Store) -> String {
    let APIKey { metadata, spec, .. } = object;
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or("NAMESPACE");
    let stored = match store {
        Store::InTheCluster => "is stored",
        Store::Nowhere => "is not stored: apply the manifest",
    };
    let one = spec.models.first().filter(|model| *model != "*");
    let (models, model) = match one {
        Some(model) => (spec.models.join(", "), model.as_str()),
        None => ("all models of its namespace".to_owned(), "MODEL"),
    };
    let plan = match &spec.plan {
        Some(plan) => format!("plan {plan}"),
        None => "the gateway's plan for everybody".to_owned(),
    };
    let end = match &spec.expires_at {
        Some(Time(end)) => format!("until {}", when::show(*end)),
        None => "without an end".to_owned(),
    };
    format!(
        "APIKey {namespace}/{name} {stored}. It opens {models}; {plan}; {end}.\n\nUse it:\n  \
         export AIMASS_KEY=TOKEN\n  \
         aimass predict {model} '[[1]]' -n {namespace}\n  \
         curl -H \"Authorization: Bearer $AIMASS_KEY\" -d '{{\"instances\": [[1]]}}' \
         https://GATEWAY/projects/{namespace}/v1/models/{model}:predict\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, object_with, time};
    use super::*;
    use crate::client::tests::{cluster, refused};
    use crate::outcome::Exit;
    use crate::token::RANDOM_BYTES;

    fn args(models: &[&str]) -> CreateArgs {
        CreateArgs {
            name: "ana".to_owned(),
            model: models.iter().map(ToString::to_string).collect(),
            plan: None,
            owner: None,
            description: None,
            expires: None,
            allow_cidr: Vec::new(),
            dry_run: false,
            output: Output::Token,
            cluster: Default::default(),
        }
    }

    fn full() -> CreateArgs {
        CreateArgs {
            plan: Some("free".to_owned()),
            owner: Some("ana@example.com".to_owned()),
            description: Some("shop".to_owned()),
            expires: Some("90d".to_owned()),
            allow_cidr: vec!["10.0.0.0/8".to_owned()],
            ..args(&["iris", "churn"])
        }
    }

    fn token() -> Token {
        Token::make(&[0; RANDOM_BYTES])
    }

    fn made(args: CreateArgs) -> Wanted {
        wanted(args, time(NOW)).unwrap()
    }

    #[test]
    fn a_manifest_holds_what_was_asked_for_and_the_hash() {
        let Wanted { name, spec, .. } = made(full());
        let object = object(&name, spec, &token(), Some("shop".to_owned()));
        assert_eq!(
            serde_saphyr::to_string(&object).unwrap(),
            "apiVersion: aimass.dev/v1alpha1\nkind: APIKey\nmetadata:\n  name: ana\n  namespace: shop\nspec:\n  \
             owner: ana@example.com\n  description: shop\n  models:\n  - iris\n  - churn\n  plan: free\n  \
             credentials:\n  - id: \"000000000000\"\n    \
             sha256: 36c1b23be95b870bfe9c73d5c24f84ca6cda8dab5c440b217d20d5964faf41b4\n  \
             expiresAt: \"2027-02-25T12:00:00Z\"\n  allowedCIDRs:\n  - 10.0.0.0/8\n"
        );
    }

    #[test]
    fn what_was_not_asked_for_is_absent() {
        let spec = made(args(&["*"])).spec;
        let expect = serde_json::json!({"models": ["*"], "credentials": []});
        assert_eq!(serde_json::to_value(spec).unwrap(), expect);
    }

    #[test]
    fn all_problems_are_found_in_one_pass() {
        let wrong = CreateArgs {
            name: "Ana".to_owned(),
            plan: Some("a.b".to_owned()),
            owner: Some("a".repeat(254)),
            expires: Some("yesterday".to_owned()),
            allow_cidr: vec!["10.0.0.0".to_owned()],
            dry_run: true,
            ..args(&["iris", "*", "iris", "my_model"])
        };
        let failure = wanted(wrong, time(NOW)).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let lines: Vec<_> = failure.text.lines().collect();
        assert_eq!(lines[0], "the command line of `key create` has 9 problems");
        let flags = lines[1..]
            .iter()
            .map(|line| line.trim().split(':').next().unwrap());
        let expect = [
            "NAME",
            "--owner",
            "--model",
            "--model",
            "--model",
            "--plan",
            "--expires",
            "--allow-cidr",
            "--dry-run",
        ];
        assert_eq!(flags.collect::<Vec<_>>(), expect, "{}", failure.text);
    }

    #[track_caller]
    fn refused_with(args: CreateArgs, expect: &str) {
        let text = wanted(args, time(NOW)).unwrap_err().text;
        assert!(text.contains(expect), "{text}");
    }

    #[test]
    fn lists_have_their_bounds() {
        refused_with(args(&[]), "--model: must be given");
        let many: Vec<_> = (0..17).map(|at| format!("m{at}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        refused_with(
            args(&many),
            "--model: must be given at most 16 times, is 17",
        );
        let mut wide = args(&["iris"]);
        wide.allow_cidr = vec!["10.0.0.0/8".to_owned(); 17];
        refused_with(wide, "--allow-cidr: must be given at most 16 times, is 17");
    }

    #[tokio::test]
    async fn the_key_is_applied_only_where_there_is_none_and_the_token_stays_here() {
        let stored = object_with("7", &[("000000000000", None)]);
        let (cluster, transcript) = cluster([(201, stored)]);
        let outcome = create(&cluster, made(full()), &token()).await.unwrap();
        let asked = transcript.all();
        let [apply] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        let path = "PATCH /apis/aimass.dev/v1alpha1/namespaces/shop/apikeys/ana?";
        assert!(apply.line.starts_with(path), "{}", apply.line);
        for part in ["fieldManager=aimass-cli", "fieldValidation=Strict"] {
            assert!(apply.line.contains(part), "{}", apply.line);
        }
        assert!(!apply.line.contains("force"), "{}", apply.line);
        assert_eq!(apply.body["metadata"]["resourceVersion"], "1");
        assert_eq!(
            apply.body["spec"]["credentials"][0]["sha256"],
            token().sha256()
        );
        let issued = token();
        let secret = &issued.expose()[17..];
        assert!(!apply.body.to_string().contains(secret));

        assert_eq!(outcome.stdout, format!("{}\n", token().expose()));
        assert!(!outcome.stderr.contains(secret), "{}", outcome.stderr);
        let says = "APIKey shop/ana is stored. It opens iris, churn; plan free; until 2027-02-25T12:00:00Z.";
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
        let url = "https://GATEWAY/projects/shop/v1/models/iris:predict";
        assert!(outcome.stderr.contains(url), "{}", outcome.stderr);
    }

    #[tokio::test]
    async fn a_key_that_exists_is_left_alone() {
        let conflict = refused(409, "Conflict", "the object has been modified");
        let (cluster, _) = cluster([conflict]);
        let failure = create(&cluster, made(args(&["iris"])), &token())
            .await
            .unwrap_err();
        let begin = "APIKey shop/ana exists already and was left as it is: ";
        assert!(failure.text.starts_with(begin), "{}", failure.text);
        assert!(
            failure.text.contains("`aimass key rotate ana -n shop`"),
            "{}",
            failure.text
        );
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[tokio::test]
    async fn without_an_answer_the_token_is_said_to_be_lost() {
        let (cluster, _) = cluster([]);
        let failure = create(&cluster, made(args(&["iris"])), &token())
            .await
            .unwrap_err();
        assert!(
            failure.text.contains("its token is lost: delete it by"),
            "{}",
            failure.text
        );
        assert!(!failure.text.contains(&token().expose()[17..]));
    }

    #[tokio::test]
    async fn a_dry_run_prints_the_manifest_and_sends_nothing() {
        let asked = CreateArgs {
            dry_run: true,
            output: Output::Yaml,
            ..args(&["*"])
        };
        let outcome = run(asked).await.unwrap();
        assert!(
            outcome.stdout.contains("kind: APIKey\n"),
            "{}",
            outcome.stdout
        );
        assert!(!outcome.stdout.contains("namespace"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("aim_"), "{}", outcome.stdout);
        let token = outcome
            .stderr
            .lines()
            .find(|line| line.starts_with("aim_"))
            .unwrap();
        let hash = Token::parse(token).unwrap().sha256();
        assert!(outcome.stdout.contains(&hash), "{}", outcome.stdout);
        assert!(outcome.stderr.contains("is not stored: apply the manifest"));
        assert!(outcome.stderr.contains("opens all models of its namespace"));
    }
}
