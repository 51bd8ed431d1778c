//! The model server: loads one model and speaks the prediction protocols.
