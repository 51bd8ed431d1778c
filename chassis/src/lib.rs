//! What every process needs: logs, metrics, admin port, readiness, shutdown, hardened listener.
