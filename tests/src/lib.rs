//! Everything that needs a cluster, several processes, faults or hostile input.
