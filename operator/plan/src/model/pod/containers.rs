//! The containers: their flags are the contract between operator and server.
//!
//! Pure, infallible. Called by `pod`. The image's entrypoint is the binary, so only arguments are
//! given; what they mean stands in the server's `--help`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerPort, ResourceRequirements, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use aimass_crds::model_deployment::Engine;

use super::{DRAIN_DELAY, probes, security, volumes};
use crate::model::names::{ADMIN_PORT, HTTP_PORT, of_revision};
use crate::model::observed::{Platform, Traces};
use crate::model::source::Content;
use crate::model::valid::{Batching, Source, Valid};

/// The container that serves.
pub(super) fn server(
    valid: &Valid,
    content: &Content,
    platform: &Platform,
    (revision, number): (&str, i64),
) -> Container {
    let runtime = &valid.runtime;
    let mut args = vec![
        format!("--model-name={}", valid.served_name),
        format!("--model-version={number}"),
        format!("--revision={}", of_revision(&valid.name, revision)),
        "--model-dir=/model/files".to_owned(),
    ];
    args.extend(
        content
            .digest
            .iter()
            .map(|digest| format!("--model-digest={digest}")),
    );
    match &valid.source {
        Source::ConfigMap { .. } => {}
        Source::Pvc { path, .. } => args.push(format!("--model-copy-from=/source/{path}")),
        Source::Http { .. } => args.push("--model-wait".to_owned()),
    }
    args.extend([
        format!("--rest-api-port={HTTP_PORT}"),
        "--port=0".to_owned(), // no gRPC yet
        format!("--shutdown-grace={}s", valid.traffic.stop_grace()),
        format!("--drain-delay={DRAIN_DELAY}s"),
        format!(
            "--engine={}",
            match runtime.engine {
                Engine::Auto => "auto",
                Engine::Tract => "tract",
                Engine::Rten => "rten",
                Engine::OnnxRuntime => "onnxruntime",
            }
        ),
        format!("--engine-workers={}", runtime.threads),
    ]);
    args.extend(bounds(platform));
    let Batching {
        max_size,
        max_delay,
    } = &valid.batching;
    args.extend(max_size.map(|size| format!("--max-batch-size={size}")));
    args.extend(max_delay.map(|delay| format!("--max-queue-delay={}ms", delay.as_millis())));
    if let Some(Traces { endpoint, ratio }) = &platform.traces {
        args.push(format!("--otlp-endpoint={endpoint}"));
        args.push(format!("--trace-ratio={ratio}"));
    }
    Container {
        name: "server".to_owned(),
        image: Some(runtime.image.clone()),
        args: Some(args),
        liveness_probe: Some(probes::liveness()),
        ports: Some(vec![port("http", HTTP_PORT), port("admin", ADMIN_PORT)]),
        readiness_probe: Some(probes::readiness()),
        resources: Some(resources(
            &runtime.resources.requests,
            &runtime.resources.limits,
        )),
        security_context: Some(security()),
        startup_probe: Some(probes::startup(runtime.start_deadline)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(volumes::of_server(&valid.source)),
        ..Container::default()
    }
}

/// How long and how large a request may be. Where there is a gateway, that is the gateway's to say
/// (spec.traffic): a pod never is the first to refuse, so that both can change without a new revision.
fn bounds(platform: &Platform) -> Vec<String> {
    let flags: &[&str] = match platform.gateway_url {
        Some(_) => &["--rest-api-timeout-in-ms=3600000", "--max-body=256Mi"],
        None => &["--max-body=16Mi"],
    };
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// The sidecar that brings remote files, and then sleeps; none for what is mounted.
pub(super) fn fetch(valid: &Valid, platform: &Platform) -> Option<Container> {
    let Source::Http {
        url,
        digest,
        secret,
        max_size,
    } = &valid.source
    else {
        return None;
    };
    let mut args = vec![
        "fetch".to_owned(),
        format!("--source={url}"),
        "--dest=/model/files".to_owned(),
        format!("--digest={digest}"),
        format!("--max-size={max_size}"),
        "--stay".to_owned(),
    ];
    if platform.allow_http {
        args.push("--allow-http".to_owned());
    }
    args.extend(
        platform
            .allow_hosts
            .iter()
            .map(|host| format!("--allow-host={host}")),
    );
    if secret.is_some() {
        args.push("--credentials-dir=/credentials".to_owned());
    }
    let amounts = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter()
            .map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()))
            .collect()
    };
    Some(Container {
        name: "fetch".to_owned(),
        // The server's, so that a node fetches one image.
        image: Some(valid.runtime.image.clone()),
        args: Some(args),
        resources: Some(resources(
            &amounts(&[("cpu", "10m"), ("memory", "32Mi")]),
            &amounts(&[("memory", "256Mi")]),
        )),
        restart_policy: Some("Always".to_owned()),
        security_context: Some(security()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(volumes::of_fetch(secret.is_some())),
        ..Container::default()
    })
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn resources(
    requests: &BTreeMap<String, String>,
    limits: &BTreeMap<String, String>,
) -> ResourceRequirements {
    let quantities = |amounts: &BTreeMap<String, String>| {
        amounts
            .iter()
            .map(|(name, amount)| (name.clone(), Quantity(amount.clone())))
            .collect()
    };
    ResourceRequirements {
        requests: Some(quantities(requests)),
        limits: Some(quantities(limits)),
        claims: None,
    }
}

/// A mount of `volume` at `path`.
pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
