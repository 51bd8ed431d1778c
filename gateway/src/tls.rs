//! The certificate: read from a folder, checked, and swapped under connections that live on.
//!
//! [`Certificate`] is what handshakes are answered with; the task that [`keep`] is looks at the files every 5 s, by content,
//! because a mounted Secret changes by a link that is swapped and others are written in place. A pair that is bad keeps the
//! one before. Started by `run`.

mod validity;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A certificate with its chain, or a key, of more bytes is none.
const FILE_BYTES: u64 = 1 << 20;

/// The certificate that new connections get.
#[derive(Debug, Default)]
pub struct Certificate(ArcSwapOption<Pair>);

/// A certificate that fits its key.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

impl Certificate {
    /// When the certificate ends that is used now.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.0.load().as_ref().map(|pair| pair.not_after)
    }

    /// Takes over a pair of PEM files.
    ///
    /// # Errors
    /// They hold no certificate or no key, the key is that of another certificate, or its time is over at `now`: what was
    /// used before is used on.
    pub fn replace(&self, certificate: &[u8], key: &[u8], now: Timestamp) -> anyhow::Result<()> {
        let pair = read(certificate, key)?;
        ensure!(
            pair.not_after > now,
            "the certificate in tls.crt has expired at {}: renew it",
            pair.not_after
        );
        self.0.store(Some(Arc::new(pair)));
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}

fn read(certificate: &[u8], key: &[u8]) -> anyhow::Result<Pair> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.context("tls.crt must hold certificates in PEM form")?;
    let first = chain
        .first()
        .context("tls.crt must hold a certificate in PEM form")?;
    let not_after = validity::not_after(first)
        .context("tls.crt must begin with the certificate of this server (X.509)")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .context("tls.key must hold a private key in PEM form")?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .context("tls.key must be the key of the certificate in tls.crt")?;
    Ok(Pair {
        key: Arc::new(key),
        not_after,
    })
}

/// How HTTPS is spoken: TLS 1.2 and 1.3, HTTP/2 or HTTP/1.1, with the certificate that `certificate` has at the time.
///
/// # Errors
/// Never with this provider.
pub fn server_config(certificate: Arc<Certificate>) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("failed to set up TLS")?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What became of a look at the files.
#[derive(Debug)]
pub enum Look<'a> {
    /// Another certificate is used from now on, until then.
    Swapped(Timestamp),
    /// The files cannot be used, and why.
    Refused(&'a anyhow::Error),
}

/// Follows `tls.crt` and `tls.key` in `folder`, for ever. Tells `told` what is new, once for each change.
pub async fn keep(folder: &Path, certificate: &Certificate, mut told: impl FnMut(Look<'_>)) {
    let mut last = None;
    loop {
        let files = files(folder).await;
        let seen = match &files {
            Ok((chain, key)) => fingerprint(chain, key),
            Err(error) => fingerprint(b"", format!("{error:#}").as_bytes()),
        };
        if last.replace(seen) != Some(seen) {
            let now = aimass_chassis::clock::now();
            let swapped = files.and_then(|(chain, key)| certificate.replace(&chain, &key, now));
            match swapped.map(|()| certificate.not_after()) {
                Ok(until) => told(Look::Swapped(until.unwrap_or(now))),
                Err(error) => told(Look::Refused(&error)),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn files(folder: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    Ok((
        file(folder, "tls.crt").await?,
        file(folder, "tls.key").await?,
    ))
}

async fn file(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(name);
    let failed = || format!("failed to read {}", path.display());
    let size = tokio::fs::metadata(&path).await.with_context(failed)?.len();
    ensure!(
        size <= FILE_BYTES,
        "{} must have at most {FILE_BYTES} bytes, has {size}",
        path.display()
    );
    tokio::fs::read(&path).await.with_context(failed)
}

/// Tells files from others without keeping a key for that.
fn fingerprint(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(certificate.len().to_be_bytes());
    hash.update(certificate);
    hash.update(key);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate that ends in a year, and its key.
    fn pair(year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 6, 1);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn replace(certificate: &Certificate, chain: &str, key: &str) -> Result<(), String> {
        let replaced = certificate.replace(chain.as_bytes(), key.as_bytes(), now());
        replaced.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_pair_that_fits_is_used_until_it_ends() {
        let certificate = Certificate::default();
        assert_eq!(certificate.not_after(), None);
        let (chain, key) = pair(2030);
        replace(&certificate, &chain, &key).unwrap();
        let end = certificate.not_after().unwrap();
        assert_eq!(end.to_string(), "2030-06-01T00:00:00Z");
    }

    #[test]
    fn a_bad_pair_keeps_the_one_before() {
        let certificate = Certificate::default();
        let ((chain, key), (other, other_key)) = (pair(2030), pair(2031));
        replace(&certificate, &chain, &key).unwrap();
        let (expired, expired_key) = pair(2026);
        for (chain, key, what) in [
            (
                &other,
                &key,
                "tls.key must be the key of the certificate in tls.crt",
            ),
            (&chain, &other_key, "tls.key must be the key of"),
            (
                &expired,
                &expired_key,
                "has expired at 2026-06-01T00:00:00Z: renew it",
            ),
            (&String::new(), &key, "tls.crt must hold a certificate"),
            (&key, &key, "tls.crt must hold a certificate"),
            (&chain, &chain, "tls.key must hold a private key"),
            (&other.replace('A', "B"), &other_key, "tls.crt must"),
        ] {
            let error = replace(&certificate, chain, key).unwrap_err();
            assert!(error.contains(what), "{error}");
            let end = certificate.not_after().unwrap();
            assert_eq!(end.to_string(), "2030-06-01T00:00:00Z");
        }
        replace(&certificate, &other, &other_key).unwrap();
        assert!(
            certificate
                .not_after()
                .unwrap()
                .to_string()
                .starts_with("2031")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_until_they_are_good_and_each_change_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let certificate = Certificate::default();
        let (chain, key) = pair(2100);
        let mut told = Vec::new();
        let mut step = 0;
        let kept = keep(folder.path(), &certificate, |look| {
            told.push(match look {
                Look::Swapped(until) => until.to_string(),
                Look::Refused(error) => format!("{error:#}"),
            });
            step += 1;
            match step {
                1 => write("tls.crt", &chain),
                2 => write("tls.key", "nothing"),
                3 => write("tls.key", &key),
                _ => {}
            }
        });
        let ended = tokio::time::timeout(Duration::from_secs(60), kept).await;
        assert!(ended.is_err());
        let starts = [
            "failed to read",
            "failed to read",
            "tls.key must hold",
            "2100-06-01",
        ];
        assert_eq!(told.len(), 4, "{told:?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told}");
        }
    }
}
