//! Objects of the cluster → the table. Pure.
