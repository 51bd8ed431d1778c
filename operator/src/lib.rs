//! The operator: reconciles the custom resources of aimass.
