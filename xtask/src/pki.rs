//! Keys and certificates of the cluster: one authority, and what it signs.
//!
//! Elliptic curves (P-256), made anew at each start. Writes nothing; `cluster::up` does.

use anyhow::{Context as _, Result};
use jiff::{ToSpan as _, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// How long certificates hold: a cluster for demos and tests is not kept longer.
const DAYS: i64 = 365;

/// A certificate and its key, both PEM.
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key (PKCS#8).
    pub(crate) key: String,
}

/// The authority that everyone in the cluster trusts.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    today: jiff::civil::Date,
}

/// Whom a certificate speaks for.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// The user, in Kubernetes' eyes.
    pub(crate) name: &'static str,
    /// The user's group, if it has one.
    pub(crate) group: Option<&'static str>,
    /// Names and addresses under which it serves.
    pub(crate) addresses: &'static [&'static str],
}

impl Authority {
    /// Makes one, as of `now`.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub(crate) fn new(now: jiff::Timestamp) -> Result<Self> {
        let today = Zoned::new(now, jiff::tz::TimeZone::UTC).date();
        let mut params = params(today, &[])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "aimass-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("failed to make the authority's key")?;
        let certificate = params
            .self_signed(&key)
            .context("failed to sign the authority")?
            .pem();
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
            today,
        })
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Makes a key and a certificate for clients and servers alike.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub(crate) fn issue(&self, subject: Subject) -> Result<Pair> {
        let Subject {
            name,
            group,
            addresses,
        } = subject;
        let mut params = params(self.today, addresses)?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().with_context(|| format!("failed to make {name}'s key"))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("failed to sign {name}'s certificate"))?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// The pair that signs service accounts' tokens: the private key and the public one, PEM.
///
/// # Errors
/// If the machine has no randomness.
pub(crate) fn token_keys() -> Result<[String; 2]> {
    let key = KeyPair::generate().context("failed to make the key for tokens")?;
    Ok([key.serialize_pem(), key.public_key_pem()])
}

fn params(today: jiff::civil::Date, addresses: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = addresses.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).context("a name is not legal")?;
    // From yesterday: clocks differ.
    let [year, month, day] = numbers(today.checked_sub(1.day())?);
    params.not_before = date_time_ymd(i32::from(year), month.try_into()?, day.try_into()?);
    let [year, month, day] = numbers(today.checked_add(DAYS.days())?);
    params.not_after = date_time_ymd(i32::from(year), month.try_into()?, day.try_into()?);
    Ok(params)
}

fn numbers(day: jiff::civil::Date) -> [i16; 3] {
    [day.year(), i16::from(day.month()), i16::from(day.day())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_pem() {
        let authority = Authority::new("2026-02-28T23:00:00Z".parse().unwrap()).unwrap();
        let subject = Subject {
            name: "x",
            group: Some("g"),
            addresses: &["10.0.0.1", "node1"],
        };
        let pair = authority.issue(subject).unwrap();
        assert!(
            authority
                .certificate()
                .starts_with("-----BEGIN CERTIFICATE-----")
        );
        assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(pair.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        let [private, public] = token_keys().unwrap();
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"));
    }
}
