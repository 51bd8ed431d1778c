//! Paths and names that can be read in one way only.
//!
//! Pure. Called by `route`.

/// Whether everybody who reads `path` sees the same segments in it.
///
/// Refused: what is not below `/`; empty segments, but for a last one; `.` and `..`; `\`, `;`, `?`, `#`, blanks and control
/// characters, encoded or not; an encoded `/` or `.`; `%` before anything but two hex digits, and an encoded `%`, which
/// makes another path for whoever decodes twice.
pub(super) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    !path.contains("//")
        && !rest.split('/').any(|segment| matches!(segment, "." | ".."))
        && has_plain_bytes(path.as_bytes())
}

fn has_plain_bytes(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => match decoded(after) {
                Some((byte, after)) if !matches!(byte, b'/' | b'.' | b'%') => (byte, after),
                _ => return false,
            },
            byte => (*byte, after),
        };
        if byte.is_ascii_control() || matches!(byte, b'\\' | b';' | b'?' | b'#') {
            return false;
        }
        rest = after;
    }
    // Encoded, a blank is a character like others.
    !path.contains(&b' ')
}

fn decoded(after: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], after) = after.split_first_chunk::<2>()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)? * 16 + digit(*low)?;
    Some((u8::try_from(byte).ok()?, after))
}

/// A DNS label, as names of namespaces are: at most 63 of `a-z`, `0-9` and, inside, `-`.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(paths: &[&str]) {
        for path in paths {
            assert!(!is_plain(path), "{path:?}");
        }
    }

    #[test]
    fn ordinary_paths_are_plain() {
        for path in [
            "/",
            "/v2/",
            "/v1/models/my_model:predict",
            "/v1/models/a%20b/versions/7:predict",
            "/v1/models/...",
            "/v1/models/a..b",
            "/v1/models/.a",
            "/v1/models/ü%C3%BC",
            "/v1/models/my%5Fmodel",
        ] {
            assert!(is_plain(path), "{path:?}");
        }
    }

    #[test]
    fn what_is_not_below_the_root_is_refused() {
        refuses(&["", "*", "v1/models", "example.com:443", "http://a/v1"]);
    }

    #[test]
    fn segments_that_others_would_drop_are_refused() {
        refuses(&["//", "//v1/models", "/v1//models", "/v1/models//"]);
        refuses(&[
            "/.",
            "/..",
            "/./v1",
            "/v1/./models",
            "/v1/../v1",
            "/v1/models/..",
        ]);
    }

    #[test]
    fn encoded_separators_are_refused_in_either_case() {
        refuses(&["/a%2fb", "/a%2Fb", "/%2e%2e/b", "/%2E/b", "/a%2eb", "/.%2e"]);
        refuses(&["/a%5cb", "/a%5Cb", "/a%3bb", "/a%3Bb", "/a%23", "/a%3f"]);
    }

    #[test]
    fn characters_that_others_treat_as_separators_are_refused() {
        refuses(&["/a\\b", "/a;x=1", "/a?b", "/a#b", "/a b"]);
    }

    #[test]
    fn control_characters_are_refused_encoded_or_not() {
        refuses(&[
            "/a\0", "/a\r\n", "/a\x7f", "/a\t", "/%00", "/a%0d%0a", "/%1f", "/%7F",
        ]);
    }

    #[test]
    fn what_could_be_decoded_twice_or_not_at_all_is_refused() {
        refuses(&["/%252e%252e", "/a%25", "/a%", "/a%2", "/a%zz", "/a%+1"]);
    }

    #[test]
    fn a_label_is_short_lower_case_and_has_inner_dashes_only() {
        for label in ["a", "team-a", "0", &"a".repeat(63)] {
            assert!(is_label(label), "{label}");
        }
        for label in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "ü",
            "a%2d",
            &"a".repeat(64),
        ] {
            assert!(!is_label(label), "{label}");
        }
    }
}
