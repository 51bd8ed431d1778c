//! The whole task against gateways that are not real, over sockets.
