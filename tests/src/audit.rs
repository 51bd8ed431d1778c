//! Reads what the API server wrote down: who asked for what, and what came of it.
//!
//! Each answer names its record (`Audit-Id`), also answers that the fault layer swallows; a check
//! waits until every id it knows of is in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::eventually::within;

/// The audit log of the lane's API server.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// One request, as the API server saw it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The `Audit-Id` of the answer.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who asked.
    pub user: User,
    /// About what; absent for non-resource paths.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// What came of it.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// When the request came, RFC 3339.
    #[serde(default)]
    pub request_received_timestamp: String,
    /// `authorization.k8s.io/decision` and others.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct User {
    /// `system:serviceaccount:<namespace>:<name>` or a person.
    #[serde(default)]
    pub username: String,
}

/// The object of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ObjectRef {
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub api_group: String,
    pub subresource: String,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ResponseStatus {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl Entry {
    /// Whether it made an object: an apply that is answered 201 does, too.
    #[must_use]
    pub fn creates(&self) -> bool {
        let makes = matches!(self.verb.as_str(), "create" | "patch" | "update");
        makes && self.response_status.code == 201 && self.object_ref.subresource.is_empty()
    }

    /// Whether it deleted an object.
    #[must_use]
    pub fn deletes(&self) -> bool {
        let ok = (200..300).contains(&self.response_status.code);
        self.verb == "delete" && ok && self.object_ref.subresource.is_empty()
    }

    /// Whether it may have changed something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether the asker was allowed to ask.
    #[must_use]
    pub fn allowed(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision");
        decision.is_some_and(|d| d == "allow")
    }
}

impl Audit {
    /// The log at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the log ends now.
    ///
    /// # Panics
    /// Without the file: the lane was started without an audit log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let file = std::fs::metadata(&self.path);
        let file = file.unwrap_or_else(|e| panic!("no audit log {}: {e}", self.path.display()));
        Mark(file.len())
    }

    /// All entries since `mark` whose line contains `part` (a namespace or an account), once every
    /// id of `ids` is there.
    ///
    /// # Panics
    /// If one of them is not there within 20 s, or the file cannot be read.
    pub async fn since(&self, mark: Mark, part: &str, ids: &BTreeSet<String>) -> Vec<Entry> {
        let read = || async {
            let entries = self.read(mark, part)?;
            let there: BTreeSet<&str> = entries.iter().map(|e| e.audit_id.as_str()).collect();
            let missing = ids.iter().filter(|id| !there.contains(id.as_str())).count();
            if missing == 0 {
                return Ok(entries);
            }
            Err(format!(
                "{missing} of {} requests are not in the audit log",
                ids.len()
            ))
        };
        match within(Duration::from_secs(20), read).await {
            Ok(entries) => entries,
            Err(complaint) => panic!("{}: {complaint}", self.path.display()),
        }
    }

    fn read(&self, mark: Mark, part: &str) -> Result<Vec<Entry>, String> {
        let text = |e: std::io::Error| format!("failed to read {}: {e}", self.path.display());
        let mut file = std::fs::File::open(&self.path).map_err(text)?;
        file.seek(SeekFrom::Start(mark.0)).map_err(text)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(text)?;
        let mut entries = Vec::new();
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            if line.last() != Some(&b'\n') {
                break; // still being written
            }
            let line = String::from_utf8_lossy(line);
            if !line.contains(part) {
                continue;
            }
            entries.push(serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?);
        }
        Ok(entries)
    }
}

/// How often each object was created and deleted, by `create <kind>/<name>` and so on; `name`
/// normalises names.
#[must_use]
pub fn counts(
    entries: &[Entry],
    kinds: &[&str],
    name: impl Fn(&str) -> String,
) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        let verb = match (entry.creates(), entry.deletes()) {
            (true, _) => "create",
            (_, true) => "delete",
            (false, false) => continue,
        };
        let object = &entry.object_ref;
        if !kinds.contains(&object.resource.as_str()) {
            continue;
        }
        let key = format!("{verb} {}/{}", object.resource, name(&object.name));
        let count: &mut u32 = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(id: &str, verb: &str, code: u16, name: &str) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stage":"ResponseComplete","requestURI":"/x","verb":"{verb}","user":{{"username":"u"}},"objectRef":{{"resource":"services","namespace":"n","name":"{name}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":{code}}},"annotations":{{"authorization.k8s.io/decision":"allow"}}}}"#
        ) + "\n"
    }

    #[tokio::test]
    async fn it_reads_whole_lines_from_the_mark_on_and_counts_what_came_of_them() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(line("0", "patch", 201, "old").as_bytes())
            .unwrap();
        let audit = Audit::new(file.path().to_owned());
        let mark = audit.mark();
        for text in [
            line("1", "patch", 201, "a"),
            line("2", "patch", 200, "a"),
            line("3", "delete", 200, "a"),
            line("4", "delete", 404, "a"),
            "{\"half\":".to_owned(),
        ] {
            file.write_all(text.as_bytes()).unwrap();
        }
        let ids = BTreeSet::from(["1".to_owned(), "4".to_owned()]);
        let entries = audit.since(mark, "\"n\"", &ids).await;
        assert_eq!(entries.len(), 4);
        let counts = counts(&entries, &["services"], str::to_owned);
        assert_eq!(counts["create services/a"], 1);
        assert_eq!(counts["delete services/a"], 1);
    }
}
