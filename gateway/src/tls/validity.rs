//! When a certificate ends: the one thing that rustls does not tell of a server's own certificate.
//!
//! Pure. Called by `tls`. Walks the outermost elements of the certificate (DER) and reads one time; what is not where it must
//! be is `None`. Source: RFC 5280 §4.1.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `version [0]`, absent in certificates of version 1.
const VERSION: u8 = 0xa0;

/// `notAfter` of a certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = element(rest, VERSION)?;
    }
    let (_serial, rest) = element(rest, INTEGER)?;
    let (_signature, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, not_after) = time(validity)?;
    time(not_after).map(|(time, _)| time)
}

/// The contents of the element of `tag` that `bytes` begin with, and what comes after it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = length((*first == tag).then_some(rest)?)?;
    rest.split_at_checked(length)
}

/// A length of up to four bytes.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let count = match first {
        0..=0x7f => return Some((usize::from(*first), rest)),
        0x81..=0x84 => usize::from(first - 0x80),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits.iter().try_fold(0_usize, |length, digit| {
        length.checked_mul(256)?.checked_add(usize::from(*digit))
    })?;
    Some((length, rest))
}

/// `YYMMDDHHMMSSZ`, where YY from 50 on are of the last century, or `YYYYMMDDHHMMSSZ`.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let tag = *bytes.first()?;
    let (text, rest) = element(bytes, tag)?;
    let text = str::from_utf8(text).ok()?;
    let (year, rest_of_text) = match tag {
        UTC_TIME => {
            let (year, rest) = digits::<i16>(text, 2)?;
            (if year < 50 { 2000 } else { 1900 } + year, rest)
        }
        GENERALIZED_TIME => digits(text, 4)?,
        _ => return None,
    };
    let (month, text) = digits(rest_of_text, 2)?;
    let (day, text) = digits(text, 2)?;
    let (hour, text) = digits(text, 2)?;
    let (minute, text) = digits(text, 2)?;
    let (second, text) = digits(text, 2)?;
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let time = Offset::UTC.to_timestamp(civil).ok()?;
    (text == "Z").then_some((time, rest))
}

fn digits<N: std::str::FromStr>(text: &str, count: usize) -> Option<(N, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((plain.then_some(digits)?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 28);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_of_its_forms() {
        for (year, end) in [
            (2027, "2027-02-28T00:00:00Z"),
            (2049, "2049-02-28T00:00:00Z"),
            // From then on years have four digits.
            (2050, "2050-02-28T00:00:00Z"),
            (4096, "4096-02-28T00:00:00Z"),
        ] {
            let read = not_after(&certificate(year)).unwrap();
            assert_eq!(read.to_string(), end);
        }
    }

    #[test]
    fn years_of_two_digits_are_of_two_centuries() {
        let year = |text: &str| {
            let mut bytes = vec![UTC_TIME, 13];
            bytes.extend_from_slice(text.as_bytes());
            time(&bytes).map(|(time, _)| time.to_string())
        };
        let text = |year| format!("{year}-01-02T03:04:05Z");
        assert_eq!(year("490102030405Z"), Some(text(2049)));
        assert_eq!(year("500102030405Z"), Some(text(1950)));
        for bad in [
            "491302030405Z",
            "4901020304+5Z",
            "490102030405+",
            "49é10203040Z",
        ] {
            assert_eq!(year(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_off_has_no_end() {
        let whole = certificate(2030);
        for end in 0..whole.len() {
            let cut = whole.get(..end).unwrap();
            assert_eq!(not_after(cut), None, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_fatal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = not_after(&bytes);
        }

        #[test]
        fn no_damage_is_fatal(at in 0_usize..600, byte in any::<u8>()) {
            let mut damaged = certificate(2030);
            if let Some(place) = damaged.get_mut(at) {
                *place = byte;
            }
            let _ = not_after(&damaged);
        }
    }
}
