//! Tables of `rollout`.
