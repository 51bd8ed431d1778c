//! `aimass predict`: asks a model and prints what it predicts.
//!
//! Where (`address`), what (`body`) and what came of it (`answer`) are pure; `call` is the one request. The address is
//! read from the ModelDeployment unless it is given, and no cluster is needed then.

mod address;
mod answer;
mod body;
mod call;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Url};

use crate::args::PredictArgs;
use crate::client::{Cluster, Target, Trouble, answered};
use crate::names;
use crate::outcome::{Failure, Outcome};
use crate::problems::Problems;
use crate::random;
use crate::token::{Token, hex};
use crate::when;
use call::{Call, Trust};

const COMMAND: &str = "predict";
/// What models and gateways take as a deadline.
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);
/// More than any set of certificate authorities.
const MAX_CA_BYTES: u64 = 8 << 20;

/// The request to make, checked.
#[derive(Debug)]
struct Wanted {
    place: Place,
    body: Vec<u8>,
    key: Option<Token>,
    trust: Trust,
    timeout: Duration,
}

/// Where the model is.
#[derive(Debug)]
enum Place {
    /// There.
    At(Url),
    /// Where the ModelDeployment of this name says.
    InCluster(String, Target),
}

/// Asks the model.
pub(crate) async fn run(args: PredictArgs) -> Result<Outcome, Failure> {
    let Wanted {
        place,
        body,
        key,
        trust,
        timeout,
    } = wanted(args)?;
    let url = match place {
        Place::At(url) => url,
        Place::InCluster(name, target) => {
            let cluster = Cluster::connect(target).await?;
            of_cluster(&cluster, &name).await?
        }
    };
    let request_id = hex(&random::bytes::<16>()?);
    let call = Call {
        url: &url,
        key: key.as_ref(),
        trust,
        timeout,
        request_id: &request_id,
    };
    let warning = warning(&call);
    let answered = match call::post(&call, body).await {
        Ok(received) => answer::judge(&received, call.key.is_some()),
        Err(failure) => Err(failure),
    };
    let mut outcome = answered.unwrap_or_else(Outcome::from);
    outcome.stderr.insert_str(0, &warning);
    Ok(outcome)
}

/// What `args` mean. Reads the files and the standard input that they name.
fn wanted(args: PredictArgs) -> Result<Wanted, Failure> {
    let PredictArgs {
        name,
        instances,
        url,
        key,
        ca_file,
        insecure,
        timeout,
        cluster,
    } = args;
    let mut problems = Problems::default();
    let target = Target::of(cluster, &mut problems);
    let place = match url {
        Some(url) => {
            let name = problems.take("NAME", names::served(&name));
            let namespace = target.namespace.as_deref();
            let url = name
                .and_then(|name| problems.take("--url", address::of_flag(&url, namespace, &name)));
            url.map(Place::At)
        }
        None => {
            let name = problems.take("NAME", names::object(&name));
            name.map(|name| Place::InCluster(name, target))
        }
    };
    let body = problems.take("INSTANCES", body::read(&instances));
    let key = key.filter(|key| !key.expose().is_empty());
    let key = key.and_then(|key| problems.take("--key (AIMASS_KEY)", Token::parse(key.expose())));
    let trust = trust(ca_file, insecure, &mut problems);
    let timeout = problems.take("--timeout", when::length(&timeout));
    if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > MAX_TIMEOUT) {
        problems.add("--timeout", "must be between 1ms and 1h");
    }
    let all = (place, body, trust, timeout);
    let (Some(place), Some(body), Some(trust), Some(timeout)) = all else {
        return problems.finish(COMMAND, None);
    };
    let made = Wanted {
        place,
        body,
        key,
        trust,
        timeout,
    };
    problems.finish(COMMAND, Some(made))
}

fn trust(ca_file: Option<PathBuf>, insecure: bool, problems: &mut Problems) -> Option<Trust> {
    match (ca_file, insecure) {
        (Some(_), true) => {
            problems.add(
                "--insecure",
                "must not stand beside --ca-file: it trusts any certificate",
            );
            None
        }
        (None, true) => Some(Trust::Anybody),
        (None, false) => Some(Trust::System(Vec::new())),
        (Some(path), false) => problems
            .take("--ca-file", certificates(&path))
            .map(Trust::System),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = body::file(path, MAX_CA_BYTES)?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        let path = path.display();
        return Err(format!(
            "must be a file with certificates in PEM, {path} holds none"
        ));
    }
    Ok(certificates)
}

/// The address that the ModelDeployment has in its status.
async fn of_cluster(cluster: &Cluster, name: &str) -> Result<Url, Failure> {
    let namespace = &cluster.namespace;
    let model = answered(cluster.model_deployments().get(name)).await;
    let model = model.map_err(|trouble| {
        let what = if matches!(trouble, Trouble::NotFound(_)) {
            format!(": `kubectl get modeldeployments -n {namespace}` shows those that there are")
        } else {
            "; with --url no cluster is asked".to_owned()
        };
        let text = "failed to read the address of ModelDeployment";
        Failure::new(format!("{text} {namespace}/{name}: {trouble}{what}"))
    })?;
    let Some(url) = model.status.and_then(|status| status.url) else {
        return Err(Failure::new(format!(
            "ModelDeployment {namespace}/{name} has no address yet: see `kubectl describe modeldeployment {name} -n \
             {namespace}`, or give one by --url"
        )));
    };
    address::of_status(&url).map_err(|why| {
        Failure::new(format!(
            "status.url of ModelDeployment {namespace}/{name} {why}: give another address by --url"
        ))
    })
}

/// What a person should know although the request is made.
fn warning(call: &Call<'_>) -> String {
    let Call {
        url, key, trust, ..
    } = call;
    let text = if matches!(trust, Trust::Anybody) && url.scheme() == "https" {
        "--insecure: whoever answers is trusted, and may read the key"
    } else if key.is_some() && url.scheme() == "http" && !address::is_local(url) {
        "the key goes over http, which others on the way can read: use https"
    } else {
        return String::new();
    };
    format!("aimass: warning: {text}\n")
}

#[cfg(test)]
mod tests;
