//! `aimass key revoke`: switches a key off, or takes one of its tokens away. [`revoke`] is pure.

use aimass_crds::APIKey;
use aimass_crds::api_key::Credential;
use serde_json::json;

use super::{Change, PROMISE, arguments, edit, full_name, ids};
use crate::args::RevokeArgs;
use crate::client::{Cluster, Target};
use crate::names;
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;

const COMMAND: &str = "key revoke";
const LOST: &str = "It may be revoked or not: say it again, that does no harm";

/// The change to make, checked.
#[derive(Debug)]
struct Wanted {
    name: String,
    what: What,
    target: Target,
}

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The key, whatever tokens it has.
    Key,
    /// The token with this id.
    Token(String),
}

/// What becomes of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Revoked {
    /// It is switched off now.
    Off,
    /// It was already.
    OffAlready,
    /// These credentials are left.
    Left(Vec<Credential>),
}

/// Why nothing is revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    /// It may have been taken away already.
    #[error("it has no token with the id {id}; its tokens: {ids}")]
    Unknown { id: String, ids: String },
    /// The schema wants one.
    #[error(
        "{id} is its only token: switch the whole key off by `aimass key revoke {key}`, or replace the token by `aimass key rotate {key} --overlap 0s`"
    )]
    Only { id: String, key: String },
}

/// Revokes.
pub(super) async fn run(args: RevokeArgs) -> Result<Outcome, Failure> {
    let Wanted { name, what, target } = wanted(args)?;
    let cluster = Cluster::connect(target).await?;
    let full = full_name(&cluster, &name);
    let decide = |key: &APIKey| -> Result<Change<String>, Failure> {
        let revoked = revoke(key, &what)
            .map_err(|why| Failure::new(format!("{full} was left as it is: {why}")))?;
        let said = told(&full, &arguments(key), &revoked);
        Ok(match revoked {
            Revoked::Off => Change::Write(json!({"disabled": true}), said),
            Revoked::Left(credentials) => Change::Write(json!({"credentials": credentials}), said),
            Revoked::OffAlready => Change::Nothing(said),
        })
    };
    let stderr = edit(&cluster, &name, LOST, decide).await?;
    Ok(Outcome::done(String::new(), stderr))
}

fn wanted(args: RevokeArgs) -> Result<Wanted, Failure> {
    let RevokeArgs { name, id, cluster } = args;
    let mut problems = Problems::default();
    let name = problems.take("NAME", names::object(&name));
    let what = match id {
        None => Some(What::Key),
        Some(id) => problems
            .take("--id", names::credential(&id))
            .map(What::Token),
    };
    let target = Target::of(cluster, &mut problems);
    let made = name
        .zip(what)
        .map(|(name, what)| Wanted { name, what, target });
    problems.finish(COMMAND, made)
}

/// What becomes of `key`.
fn revoke(key: &APIKey, what: &What) -> Result<Revoked, Refused> {
    let spec = &key.spec;
    let id = match what {
        What::Key if spec.disabled == Some(true) => return Ok(Revoked::OffAlready),
        What::Key => return Ok(Revoked::Off),
        What::Token(id) => id,
    };
    let left = spec.credentials.iter().filter(|other| other.id != *id);
    let left: Vec<_> = left.cloned().collect();
    if left.len() == spec.credentials.len() {
        let (id, ids) = (id.clone(), ids(&spec.credentials));
        return Err(Refused::Unknown { id, ids });
    }
    if left.is_empty() {
        let (id, key) = (id.clone(), arguments(key));
        return Err(Refused::Only { id, key });
    }
    Ok(Revoked::Left(left))
}

/// What is printed once it is done.
fn told(full: &str, key: &str, revoked: &Revoked) -> String {
    let effect = format!(
        "Gateways that reach the API server refuse it {PROMISE}; what they have already let in is still answered."
    );
    match revoked {
        Revoked::Left(credentials) => {
            format!(
                "The token is taken away; {full} has left: {}.\n{effect}\n",
                ids(credentials)
            )
        }
        Revoked::Off => format!(
            "{full} is switched off, with all of its tokens.\n{effect}\nOn again: kubectl patch apikey {key} \
             --type=merge -p '{{\"spec\":{{\"disabled\":false}}}}'. For ever: kubectl delete apikey {key}\n"
        ),
        Revoked::OffAlready => format!("{full} was switched off already.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{key, object_with};
    use super::*;
    use crate::client::tests::{cluster, refused};

    const TWO: [(&str, Option<&str>); 2] = [
        ("A00000000000", Some("2026-11-28T12:00:00Z")),
        ("B00000000000", None),
    ];

    fn token(id: &str) -> What {
        What::Token(id.to_owned())
    }

    #[test]
    fn without_an_id_the_key_is_switched_off() {
        let mut key = key(&TWO);
        assert_eq!(revoke(&key, &What::Key), Ok(Revoked::Off));
        key.spec.disabled = Some(false);
        assert_eq!(revoke(&key, &What::Key), Ok(Revoked::Off));
        key.spec.disabled = Some(true);
        assert_eq!(revoke(&key, &What::Key), Ok(Revoked::OffAlready));
    }

    #[test]
    fn with_an_id_the_other_token_is_left_as_it_is() {
        let key = key(&TWO);
        let [first, second] = <[_; 2]>::try_from(key.spec.credentials.clone()).unwrap();
        assert_eq!(
            revoke(&key, &token("A00000000000")),
            Ok(Revoked::Left(vec![second]))
        );
        assert_eq!(
            revoke(&key, &token("B00000000000")),
            Ok(Revoked::Left(vec![first]))
        );
    }

    #[test]
    fn an_unknown_id_is_answered_with_those_that_there_are() {
        let error = revoke(&key(&TWO), &token("C00000000000")).unwrap_err();
        let text = "it has no token with the id C00000000000; its tokens: \
                    A00000000000 (until 2026-11-28T12:00:00Z), B00000000000";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_only_token_is_not_taken_away() {
        let error = revoke(&key(&TWO[1..]), &token("B00000000000")).unwrap_err();
        let (id, key) = ("B00000000000".to_owned(), "ana -n shop".to_owned());
        assert_eq!(error, Refused::Only { id, key });
    }

    #[test]
    fn it_is_said_when_it_takes_effect_and_how_it_is_undone() {
        let off = told("APIKey shop/ana", "ana -n shop", &Revoked::Off);
        assert!(
            off.contains("within 2 seconds") && off.contains("\"disabled\":false"),
            "{off}"
        );
        let left = Revoked::Left(key(&TWO[1..]).spec.credentials);
        let left = told("APIKey shop/ana", "ana -n shop", &left);
        assert!(left.contains("has left: B00000000000.\nGateways"), "{left}");
    }

    #[test]
    fn all_problems_are_found_in_one_pass() {
        let args = RevokeArgs {
            name: "Ana".to_owned(),
            id: Some("short".to_owned()),
            cluster: Default::default(),
        };
        let text = wanted(args).unwrap_err().text;
        assert!(
            text.contains("\n  NAME: ") && text.contains("\n  --id: "),
            "{text}"
        );
    }

    fn off(key: &APIKey) -> Result<Change<()>, Failure> {
        assert_eq!(revoke(key, &What::Key), Ok(Revoked::Off));
        Ok(Change::Write(json!({"disabled": true}), ()))
    }

    #[tokio::test]
    async fn a_change_is_decided_anew_when_somebody_was_faster() {
        let conflict = refused(409, "Conflict", "the object has been modified");
        let answers = [
            (200, object_with("7", &TWO)),
            conflict,
            (200, object_with("8", &TWO)),
            (200, object_with("9", &TWO)),
        ];
        let (cluster, transcript) = cluster(answers);
        edit(&cluster, "ana", LOST, off).await.unwrap();
        let asked = transcript.all();
        assert_eq!(asked.len(), 4);
        assert_eq!(
            asked[3].body,
            json!({"metadata": {"resourceVersion": "8"}, "spec": {"disabled": true}})
        );
    }

    #[tokio::test]
    async fn without_an_answer_it_is_said_that_it_may_be_done() {
        let (cluster, _) = cluster([(200, object_with("7", &TWO))]);
        let failure = edit(&cluster, "ana", LOST, off).await.unwrap_err();
        assert!(failure.text.contains("gave no answer") && failure.text.ends_with(LOST));
    }

    #[tokio::test]
    async fn a_key_that_is_not_there_is_named() {
        let absent = refused(404, "NotFound", r#"apikeys.aimass.dev "ana" not found"#);
        let (cluster, _) = cluster([absent]);
        let failure = edit(&cluster, "ana", LOST, off).await.unwrap_err();
        let text = r#"failed to change APIKey shop/ana: apikeys.aimass.dev "ana" not found"#;
        assert_eq!(failure.text, text);
    }
}
