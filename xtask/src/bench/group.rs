//! What `cargo xtask bench` measures together, and what each group needs.
//!
//! Pure. The names are those that the program `aimass-bench` knows.

/// Figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// start-up, requests, half-load and binary
    Server,
    /// The server: from the start of the process to ready
    StartUp,
    /// The server: requests per second against a bare loop
    Requests,
    /// The server: latency at half load
    HalfLoad,
    /// The server: binary tensors against JSON
    Binary,
    /// The server: memory after a million requests
    Memory,
    /// The server: four times its peak (fetches models)
    Overload,
    /// The server: a new version under load
    Swap,
    /// Our engines against onnxruntime (fetches models)
    Engines,
    /// Load time and memory of each trained model (fetches models)
    Models,
    /// Other model servers beside ours (fetches them)
    Peers,
    /// The gateway, beside Envoy (fetches it)
    Gateway,
    /// The operator, on the pinned cluster
    Operator,
    /// Scaling and rollout on the pinned cluster's node
    Scale,
}

/// Of `server`.
const SERVER: [Group; 4] = [
    Group::StartUp,
    Group::Requests,
    Group::HalfLoad,
    Group::Binary,
];

impl Group {
    /// Its name on both command lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::StartUp => "start-up",
            Self::Requests => "requests",
            Self::HalfLoad => "half-load",
            Self::Binary => "binary",
            Self::Memory => "memory",
            Self::Overload => "overload",
            Self::Swap => "swap",
            Self::Engines => "engines",
            Self::Models => "models",
            Self::Peers => "peers",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
            Self::Scale => "scale",
        }
    }

    /// A cluster with the images in it.
    pub(crate) const fn needs_cluster(self) -> bool {
        matches!(self, Self::Operator | Self::Scale)
    }

    /// The program that renders the chart.
    pub(crate) const fn needs_helm(self) -> bool {
        matches!(self, Self::Scale)
    }

    /// The fetched models.
    pub(crate) const fn needs_models(self) -> bool {
        matches!(self, Self::Overload | Self::Engines | Self::Models)
    }

    /// A Python with onnxruntime.
    pub(crate) const fn needs_onnxruntime(self) -> bool {
        matches!(self, Self::Engines)
    }
}

/// What the named groups consist of, each once; without a name all that need no download.
pub(crate) fn expand(named: &[Group]) -> Vec<Group> {
    let by_default = [Group::Server, Group::Memory, Group::Swap, Group::Operator];
    let named = if named.is_empty() { &by_default } else { named };
    let mut groups = Vec::new();
    for group in named {
        let parts: &[Group] = match group {
            Group::Server => &SERVER,
            other => std::slice::from_ref(other),
        };
        for part in parts {
            if !groups.contains(part) {
                groups.push(*part);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_group_is_measured_once() {
        assert_eq!(expand(&[Group::Binary, Group::Server]).len(), SERVER.len());
        assert_eq!(expand(&[Group::Engines]), [Group::Engines]);
    }

    #[test]
    fn nothing_is_downloaded_unless_it_is_asked_for() {
        let by_default = expand(&[]);
        assert!(by_default.contains(&Group::Operator));
        assert!(!by_default.into_iter().any(Group::needs_models));
    }

    #[test]
    fn a_name_is_what_the_command_line_says() {
        for group in Group::value_variants() {
            let said = group.to_possible_value().unwrap();
            assert_eq!(said.get_name(), group.name());
        }
    }
}
