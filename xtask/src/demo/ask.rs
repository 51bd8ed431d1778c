//! Requests to the models, their answers, and whether those are right.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::demo::site::Site;
use crate::places::Places;
use crate::{clock, http, step};

/// The port of a model's Service.
const PORT: u16 = 8501;
/// The request of the reference example, as clients of TensorFlow Serving send it.
const REFERENCE: &str = r#"{"signature_name": "serving_default", "instances": [[1],[2],[3]]}"#;
/// What the line was learnt from; rounding is all that may be left.
const EXPECTED: [f64; 3] = [2.0, 4.0, 6.0];
const TOLERANCE: f64 = 0.01;

/// An answer to `:predict`.
#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Vec<f64>>,
}

/// Asks both models, prints and checks what they say.
///
/// # Errors
/// If one does not answer, or wrongly.
pub(super) fn run(places: &Places, site: &Site) -> Result<()> {
    let answer = ask(site, "my-model", "my_model", REFERENCE)?;
    let values: Vec<f64> = answer.predictions.iter().flatten().copied().collect();
    let is_right = values.len() == EXPECTED.len()
        && values
            .iter()
            .zip(EXPECTED)
            .all(|(value, expected)| (value - expected).abs() < TOLERANCE);
    ensure!(is_right, "my-model learnt y = 2x, but answers {values:?}");

    let path = places.repository().join("examples/digits/seven.json");
    let picture = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let answer = ask(site, "digits", "digits", &picture)?;
    let [probabilities] = answer.predictions.as_slice() else {
        bail!(
            "digits was shown one picture, but answers {} times",
            answer.predictions.len()
        );
    };
    let best = probabilities
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1));
    let Some((digit, probability)) = best else {
        bail!("digits answers without a probability");
    };
    step::say(&format!(
        "The picture is a {digit}, with a probability of {probability:.4}."
    ));
    ensure!(digit == 7, "the picture shows a 7");
    Ok(())
}

/// The address that the demo prints.
///
/// # Errors
/// If the model has no Service.
pub(super) fn address_for_people(site: &Site) -> Result<String> {
    if site.is_own() {
        Ok(format!("http://{}", service(site, "my-model")?))
    } else {
        Ok(format!("http://localhost:{PORT}"))
    }
}

fn ask(site: &Site, object: &str, model: &str, body: &str) -> Result<Predictions> {
    let (address, _forward) = if site.is_own() {
        (service(site, object)?, None)
    } else {
        let forward = Forward::start(site.kubectl(), object)?;
        (forward.address, Some(forward))
    };
    let path = format!("/v1/models/{model}:predict");
    let compact: String = body.split_whitespace().collect::<Vec<_>>().join(" ");
    step::say(&format!("\nPOST http://{address}{path}\n{compact}"));
    // kube-proxy may need a moment more than the condition.
    let mut last = None;
    let answer = clock::wait_for(Duration::from_secs(10), || {
        http::post(address, &path, body)
            .map_err(|error| last = Some(error))
            .ok()
    });
    let Some(answer) = answer else {
        let error = last.context("a failed attempt has an error")?;
        return Err(error.context(format!(
            "{object} is Ready but does not answer at {address}"
        )));
    };
    step::say(&format!("{} {}", answer.status, answer.body.trim()));
    ensure!(answer.status == 200, "{object} refuses the request");
    serde_json::from_str(&answer.body).with_context(|| format!("{object} answers strangely"))
}

fn service(site: &Site, name: &str) -> Result<SocketAddr> {
    let path = "jsonpath={.spec.clusterIP}";
    let text = site.kubectl_output(&["get", "service", name, "--output", path])?;
    let address: IpAddr = text
        .trim()
        .parse()
        .with_context(|| format!("service {name} has no address of its own: {text:?}"))?;
    Ok(SocketAddr::new(address, PORT))
}

/// `kubectl port-forward`, for as long as this value lives.
struct Forward {
    child: Child,
    address: SocketAddr,
    /// It prints a line per connection, and ends when nobody is there to read it.
    _output: BufReader<ChildStdout>,
}

impl Forward {
    fn start(mut kubectl: Command, object: &str) -> Result<Self> {
        let mut child = kubectl
            .args([
                "--namespace",
                super::models::NAMESPACE,
                "port-forward",
                "--address=127.0.0.1",
            ])
            .arg(format!("service/{object}"))
            .arg(format!(":{PORT}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start kubectl port-forward")?;
        let output = child.stdout.take().context("the output was asked for")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        // It prints this line, or an error and ends.
        let read = output.read_line(&mut line);
        let Some(port) = read.ok().and_then(|_| port(&line)) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("kubectl port-forward to service/{object} does not work: {line:?}");
        };
        Ok(Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            _output: output,
        })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `40123` of `Forwarding from 127.0.0.1:40123 -> 8501`.
fn port(line: &str) -> Option<u16> {
    let after = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    after.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forwarded_port_is_read() {
        assert_eq!(
            port("Forwarding from 127.0.0.1:40123 -> 8501\n"),
            Some(40123)
        );
        assert_eq!(port("error: service not found"), None);
    }
}
