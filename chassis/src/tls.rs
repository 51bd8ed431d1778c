//! The one cryptography provider of every process.

/// Installs ring as the process's rustls provider; the first statement of every `main` and harness.
///
/// A second call changes nothing: whoever came first installed the same provider.
pub fn install() {
    // `Err` only says that one is installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
