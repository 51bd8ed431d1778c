//! The server as its callers see it: the app in process, without a port, with real models.
//!
//! `serving` holds the nouns; every other module is one promise.

mod archives;
mod fetching;
mod hostile;
mod limits;
mod panics;
mod predict;
mod process;
mod readiness;
mod rejections;
mod serving;
