//! The phases of a request, in their order: route, authenticate, permit, admit, choose, forward, record.

pub mod admit;
pub mod authenticate;
pub mod choose;
pub mod permit;
pub mod route;
