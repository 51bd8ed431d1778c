//! The processes of the cluster, and which of them a lane needs.

use clap::ValueEnum;

/// How much of a cluster is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lane {
    /// etcd, API server, controller manager: objects, but no pods
    Control,
    /// All of it: pods run
    Full,
}

/// One process. In the order of starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Containerd,
    Kubelet,
    Proxy,
}

impl Part {
    /// All, in the order of starting.
    pub(super) const ALL: [Self; 7] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Containerd,
        Self::Kubelet,
        Self::Proxy,
    ];

    /// Its program, its log and its record are called so.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
        }
    }

    /// Whether `lane` runs it.
    pub(super) fn is_in(self, lane: Lane) -> bool {
        let is_control = matches!(self, Self::Etcd | Self::ApiServer | Self::ControllerManager);
        is_control || lane == Lane::Full
    }
}
