//! The model server: how fast it starts, what it costs beside a loop that has no feature at all, and
//! how it bears load: half of it, too much of it, a million requests, a new version under it.

pub mod binary;
pub mod half_load;
pub mod memory;
pub mod overload;
pub mod requests;
pub mod running;
pub mod start_up;
pub mod swap;

/// As many as keep one core of the server busy while the load has the other.
const CONNECTIONS: usize = 8;
