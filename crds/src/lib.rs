//! The contract with Kubernetes: the custom resources of aimass as plain types.
