//! How the processes of the control plane are started. Pure: it only makes command lines.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::files::Files;
use crate::cluster::network::{NODE, PODS, SERVICES};
use crate::cluster::part::Part;

/// Where clients reach the API server.
pub(super) const SERVER: &str = "https://10.201.0.2:6443";

/// etcd listens in the namespace only; its health can be asked for from the host.
pub(super) fn etcd(bin: &Path, files: &Files) -> Command {
    let mut command = Command::new(bin.join(Part::Etcd.name()));
    command.arg("--data-dir").arg(files.data("etcd"));
    command.args([
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        &format!("--listen-metrics-urls=http://{NODE}:2381"),
        // The data does not outlive the cluster: it need not survive a power cut.
        "--unsafe-no-fsync",
    ]);
    command
}

/// The API server: real admission, real authorisation, and a record of every request.
pub(super) fn api_server(bin: &Path, files: &Files) -> Command {
    let mut command = Command::new(bin.join(Part::ApiServer.name()));
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--bind-address=0.0.0.0",
        &format!("--advertise-address={NODE}"),
        &format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=Node,RBAC",
        // PodNodeSelector pins a namespace to real or fake nodes by an annotation;
        // OwnerReferencesPermissionEnforcement finds rights that are missing.
        "--enable-admission-plugins=NodeRestriction,PodNodeSelector,\
         OwnerReferencesPermissionEnforcement",
        "--service-account-issuer=https://kubernetes.default.svc",
        // Else `kubectl logs` tries to resolve the node's name.
        "--kubelet-preferred-address-types=InternalIP",
        // Else controller manager and scheduler complain each 10 s.
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        // An answer is only sent when its record is written: tests rely on it.
        "--audit-log-mode=blocking",
        // Two files of 1 GB at most.
        "--audit-log-maxsize=1024",
        "--audit-log-maxbackup=1",
    ]);
    let paths = [
        ("--tls-cert-file", files.pki("serving.crt")),
        ("--tls-private-key-file", files.pki("serving.key")),
        ("--client-ca-file", files.pki("ca.crt")),
        ("--service-account-key-file", files.pki("tokens.pub")),
        (
            "--service-account-signing-key-file",
            files.pki("tokens.key"),
        ),
        ("--requestheader-client-ca-file", files.pki("ca.crt")),
        ("--kubelet-client-certificate", files.pki("admin.crt")),
        ("--kubelet-client-key", files.pki("admin.key")),
        ("--kubelet-certificate-authority", files.pki("ca.crt")),
        ("--audit-policy-file", files.config("audit-policy.json")),
        ("--audit-log-path", files.audit()),
    ];
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    command
}

/// Every request of every user, without bodies, once: when it has been answered.
pub(super) fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{ "level": "Metadata" }],
    })
}

/// The controllers: each under its own account, as in a real installation.
pub(super) fn controller_manager(bin: &Path, files: &Files) -> Command {
    let mut command = client(bin, files, Part::ControllerManager);
    command.args([
        "--use-service-account-credentials",
        "--allocate-node-cidrs=false",
        &format!("--cluster-cidr={PODS}"),
    ]);
    command
        .arg("--service-account-private-key-file")
        .arg(files.pki("tokens.key"));
    command.arg("--root-ca-file").arg(files.pki("ca.crt"));
    command
}

/// The scheduler.
pub(super) fn scheduler(bin: &Path, files: &Files) -> Command {
    client(bin, files, Part::Scheduler)
}

/// What controller manager and scheduler have in common.
fn client(bin: &Path, files: &Files, part: Part) -> Command {
    let mut command = Command::new(bin.join(part.name()));
    let kubeconfig = files.kubeconfig_of(part.name());
    for flag in [
        "--kubeconfig",
        "--authentication-kubeconfig",
        "--authorization-kubeconfig",
    ] {
        command.arg(flag).arg(&kubeconfig);
    }
    command.arg("--tls-cert-file").arg(files.pki("serving.crt"));
    command
        .arg("--tls-private-key-file")
        .arg(files.pki("serving.key"));
    // There is one of each. With the default rate (20 per second) a Deployment of 500 pods takes
    // 21 s, which would be measured as ours.
    command.args([
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]);
    command
}
