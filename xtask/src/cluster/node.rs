//! How the node's processes are configured and started. Pure: it only makes texts and command
//! lines.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::files::{Files, RUN};
use crate::cluster::network::{NODE, PODS};
use crate::cluster::part::Part;
use crate::cluster::{PAUSE_IMAGE, cgroup};

/// The node's name.
pub(super) const NAME: &str = "node1";
/// The network's name; the plug-ins' own files of it are found by this.
pub(super) const NETWORK: &str = "aimass";

/// Where containerd listens.
pub(crate) fn socket() -> String {
    format!("{RUN}/containerd.sock")
}

/// containerd's configuration (TOML).
pub(super) fn containerd_config(files: &Files, plugins: &Path) -> String {
    let root = quote(&files.data("containerd"));
    let networks = quote(&files.config("cni"));
    let plugins = quote(plugins);
    let (run, socket) = (quote(Path::new(RUN)), quote(Path::new(&socket())));
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    // `opt` makes /opt/containerd, which nobody asked for. `restrict_oom_score_adj`: a machine may
    // have no CAP_SYS_RESOURCE. `SystemdCgroup`: groups are made by us and the kubelet.
    format!(
        r#"version = 2
root = {root}
state = {run}
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = {socket}
[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [{cri}.containerd.runtimes.runc.options]
      SystemdCgroup = false
  [{cri}.cni]
    bin_dir = {plugins}
    conf_dir = {networks}
"#
    )
}

/// A basic string of TOML; its escapes are those of Rust for what a path may hold.
fn quote(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// Pods' interfaces: point to point, so that every packet is routed.
///
/// With a bridge, answers between two pods bypass the address translation of Services, unless the
/// kernel has br_netfilter.
pub(super) fn network(files: &Files) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": PODS }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
                "dataDir": files.data("addresses"),
            },
        }],
    })
}

/// The kubelet's configuration.
pub(super) fn kubelet_config(files: &Files, is_cgroup_v1: bool) -> Value {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cgroup::NAME),
        "oomScoreAdj": 0,
        "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{}", socket()),
        "resolvConf": "",
        "clusterDNS": [],
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": files.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": files.pki("kubelet.crt"),
        "tlsPrivateKeyFile": files.pki("kubelet.key"),
        "healthzBindAddress": "0.0.0.0",
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "memory.available": "100Mi" },
        "makeIPTablesUtilChains": false,
        "nodeStatusUpdateFrequency": "2s",
        "podLogsDir": files.logs().join("pods"),
        "volumePluginDir": files.data("volume-plugins"),
        "serializeImagePulls": false,
        "maxPods": 250,
        "registerNode": true,
    });
    if is_cgroup_v1 && let Some(fields) = config.as_object_mut() {
        fields.insert("failCgroupV1".to_owned(), false.into());
    }
    config
}

/// The configuration of kube-proxy: Services by nftables.
pub(super) fn proxy_config(files: &Files) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        // A second by default: as long as everything else that a model takes to answer.
        "nftables": { "minSyncPeriod": "100ms" },
        "clusterCIDR": PODS,
        "oomScoreAdj": 0,
        "conntrack": { "maxPerCore": 0 },
        "hostnameOverride": NAME,
        "clientConnection": { "kubeconfig": files.kubeconfig_of(Part::Proxy.name()) },
    })
}

/// containerd, from the distribution.
pub(super) fn containerd(files: &Files) -> Command {
    let mut command = Command::new(Part::Containerd.name());
    command.arg("--config").arg(files.config("containerd.toml"));
    command
}

/// The kubelet.
pub(super) fn kubelet(bin: &Path, files: &Files) -> Command {
    let mut command = Command::new(bin.join(Part::Kubelet.name()));
    command
        .arg("--kubeconfig")
        .arg(files.kubeconfig_of(Part::Kubelet.name()));
    command.arg("--config").arg(files.config("kubelet.json"));
    command.arg("--root-dir").arg(files.data("kubelet"));
    command.args([
        &format!("--hostname-override={NAME}"),
        &format!("--node-ip={NODE}"),
        "--v=2",
    ]);
    command
}

/// kube-proxy.
pub(super) fn proxy(bin: &Path, files: &Files) -> Command {
    let mut command = Command::new(bin.join(Part::Proxy.name()));
    command.arg("--config").arg(files.config("kube-proxy.json"));
    command.arg("--v=2");
    command
}
