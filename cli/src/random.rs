//! The system's random bytes. Called by `key` for tokens and by `predict` for request ids.

use rustls::crypto::ring::default_provider;

use crate::outcome::Failure;

/// `N` bytes of the operating system's generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match default_provider().secure_random.fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Failure::new("failed to get random bytes from the system")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }
}
