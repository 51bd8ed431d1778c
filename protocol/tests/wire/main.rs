//! What goes over the wire, rule by rule: requests in, tensors or the exact error text out, and answers back.

#[path = "../../testdata/cases.rs"]
mod cases;
mod conformance;
mod infer;
mod infer_errors;
mod messages;
mod models;
mod predict;
mod predict_errors;
mod predictions;
mod twins;
