//! This operator's own token, which it shows to gateways.
//!
//! Reads a file. The kubelet writes another one there before it ends, so it is read for each connection.
//! Called by `reader`.

use std::path::Path;

use http::HeaderValue;

use super::broken::Broken;

/// Bytes of a token: those of ServiceAccounts have about a thousand.
const MOST: u64 = 4096;

/// The value of `authorization`. It is not printed.
pub(super) async fn authorization(file: &Path) -> Result<HeaderValue, Broken> {
    let refused = |text: String| Broken::Token(format!("{}: {text}", file.display()));
    let found = tokio::fs::metadata(file).await;
    let size = found.map_err(|error| refused(error.to_string()))?.len();
    if size > MOST {
        return Err(refused(format!(
            "must have at most {MOST} bytes, has {size}"
        )));
    }
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| refused(error.to_string()))?;
    let text = text.trim();
    let value = HeaderValue::try_from(format!("Bearer {text}"));
    let mut value = value
        .ok()
        .filter(|_| !text.is_empty())
        .ok_or_else(|| refused("must hold a token".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<HeaderValue, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, text).unwrap();
        authorization(&file)
            .await
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_token_is_shown_and_not_printed() {
        let value = read("a.b.c\n").await.unwrap();
        assert_eq!(value, "Bearer a.b.c");
        assert!(!format!("{value:?}").contains("a.b.c"));
    }

    #[tokio::test]
    async fn what_is_no_token_is_named_by_its_file() {
        for text in [String::new(), "a\nb".to_owned(), "a".repeat(4097)] {
            let error = read(&text).await.unwrap_err();
            assert!(error.contains("token: must h"), "{error}");
        }
        let nowhere = authorization(Path::new("/nowhere/token")).await;
        assert!(nowhere.unwrap_err().to_string().contains("/nowhere/token"));
    }
}
