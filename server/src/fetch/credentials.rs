//! What the mounted Secret holds: a token, or user and password, and perhaps a certificate authority.
//!
//! Read once per fetch. Never logged, never sent to another host than the source's.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::fatal::Fatal;

/// How to log in.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) login: Option<Login>,
    /// PEM.
    pub(super) authority: Option<Vec<u8>>,
}

/// The kinds of logins.
pub(super) enum Login {
    Token(String),
    Password { username: String, password: String },
}

impl Credentials {
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, Fatal> {
        let Some(folder) = folder else {
            return Ok(Self::default());
        };
        let token = text(folder, "token")?;
        let (username, password) = (text(folder, "username")?, text(folder, "password")?);
        let login = match (token, username, password) {
            (Some(token), _, _) => Some(Login::Token(token)),
            (None, Some(username), Some(password)) => Some(Login::Password { username, password }),
            _ => None,
        };
        Ok(Self {
            login,
            authority: bytes(folder, "ca.crt")?,
        })
    }
}

fn text(folder: &Path, name: &str) -> Result<Option<String>, Fatal> {
    let text = bytes(folder, name)?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Ok(text.filter(|text| !text.is_empty()))
}

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Fatal> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fatal::io(
            &format!("failed to read the credential {name}"),
            &error,
        )),
    }
}
