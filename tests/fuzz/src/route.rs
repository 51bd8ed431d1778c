//! Paths: from a method and the raw path to what is asked for.
//!
//! Input: the method, a line feed, the path.

use aimass_protocol::v1::{self, Pick};
use aimass_protocol::{Error, v2};

/// Nothing panics; what is understood names a model; a path that exists allows a method.
pub fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (method, path) = text.split_once('\n').unwrap_or(("GET", text));
    first(method, path);
    second(method, path);
}

fn first(method: &str, path: &str) {
    let route = v1::parse_path(method, path);
    let again = v1::parse_path(method, path);
    assert_eq!(route, again);
    let target = match &route {
        Err(error) => return check(error, &[400]),
        Ok(v1::Route::Models) => return,
        Ok(other) => format!("{other:?}"),
    };
    assert!(
        path.to_ascii_lowercase().starts_with("/v1/models/"),
        "{target}"
    );
    let known = v1::unknown_servable(&v1::Target {
        model: target,
        pick: Pick::Any,
    });
    check(&known, &[404]);
}

fn second(method: &str, path: &str) {
    let route = v2::parse_path(method, path);
    let allowed = v2::allowed_methods(path);
    match &route {
        Ok(_) => {
            let allowed = allowed.unwrap();
            assert!(allowed.split(", ").any(|allowed| allowed == method));
            assert!(path.starts_with("/v2"));
        }
        Err(error) => check(error, &[404, 405]),
    }
    // Whether a path exists does not depend on the method.
    let exists = |method| {
        let refusal = v2::parse_path(method, path).err();
        refusal.is_none_or(|error| error.kind.status() == 405 || !error.text.starts_with("Not f"))
    };
    assert_eq!(exists("GET"), exists("POST"));
    assert_eq!(exists("GET"), allowed.is_some());
}

/// Short, JSON, one of these statuses.
fn check(error: &Error, statuses: &[u16]) {
    assert!(statuses.contains(&error.kind.status()), "{error:?}");
    assert!(error.text.len() < 1500, "{}", error.text.len());
    serde_json::from_slice::<serde_json::Value>(&error.body()).unwrap();
}
