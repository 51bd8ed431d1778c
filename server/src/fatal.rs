//! Why the process gives up on a model: reason, sentence, exit code, and where the operator reads them.
//!
//! Made by `files`, `fetch` and `load`; handled once, in `run.rs` and `fetch.rs`. The reasons are those of the operator's
//! status; a new one must be known there first.

use std::io;
use std::path::Path;

/// Bytes of a termination message; Kubernetes cuts at 4096.
const MAX_MESSAGE: usize = 3 << 10;

/// Why, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The files do not have the digest that was asked for.
    DigestMismatch,
    /// The files are damaged, or not what they should be.
    ArtifactInvalid,
    /// The engine refuses the model.
    ModelLoadFailed,
    /// The engine that is asked for is not there.
    EngineUnavailable,
    /// The model does not fit into the container's memory.
    OutOfMemory,
    /// The files cannot be reached.
    ArtifactUnavailable,
    /// The files may not be read.
    AccessDenied,
    /// The files do not fit.
    OutOfDisk,
    /// Fetching takes too long.
    FetchTimeout,
}

impl Reason {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DigestMismatch => "DigestMismatch",
            Self::ArtifactInvalid => "ArtifactInvalid",
            Self::ModelLoadFailed => "ModelLoadFailed",
            Self::EngineUnavailable => "EngineUnavailable",
            Self::OutOfMemory => "OutOfMemory",
            Self::ArtifactUnavailable => "ArtifactUnavailable",
            Self::AccessDenied => "AccessDenied",
            Self::OutOfDisk => "OutOfDisk",
            Self::FetchTimeout => "FetchTimeout",
        }
    }

    /// 3: the same files fail again. 4: it may pass.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::DigestMismatch
            | Self::ArtifactInvalid
            | Self::ModelLoadFailed
            | Self::EngineUnavailable
            | Self::OutOfMemory => 3,
            Self::ArtifactUnavailable
            | Self::AccessDenied
            | Self::OutOfDisk
            | Self::FetchTimeout => 4,
        }
    }

    /// Whether another try with the same files may succeed.
    pub const fn may_pass(self) -> bool {
        self.exit_code() == 4
    }
}

/// The end of a load or a fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// For programs.
    pub reason: Reason,
    /// For people: what is wrong and, where it helps, what to do.
    pub message: String,
}

impl Fatal {
    /// An end with that reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The end that an I/O error on the model's files means; `what` names the operation and the file.
    pub fn io(what: &str, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Reason::OutOfDisk,
            io::ErrorKind::PermissionDenied => Reason::AccessDenied,
            _ => Reason::ArtifactUnavailable,
        };
        Self::new(reason, format!("{what}: {error}"))
    }

    /// Writes `{"reason","message"}` to the termination log. A path that cannot be written is only logged: the process
    /// ends anyway.
    pub fn write_termination_log(&self, path: &Path) {
        let end = self.message.floor_char_boundary(MAX_MESSAGE);
        let message = self.message.get(..end).unwrap_or_default();
        let document = serde_json::json!({ "reason": self.reason.name(), "message": message });
        if let Err(error) = std::fs::write(path, document.to_string()) {
            tracing::debug!(%error, "no termination log was written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_tell_disk_and_rights_from_the_rest() {
        let reason = |kind: io::ErrorKind| Fatal::io("failed to write x", &kind.into()).reason;
        assert_eq!(reason(io::ErrorKind::StorageFull), Reason::OutOfDisk);
        assert_eq!(
            reason(io::ErrorKind::PermissionDenied),
            Reason::AccessDenied
        );
        assert_eq!(reason(io::ErrorKind::NotFound), Reason::ArtifactUnavailable);
    }

    #[test]
    fn the_termination_log_is_one_small_json_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Fatal::new(Reason::ModelLoadFailed, "ü".repeat(9000)).write_termination_log(&path);
        let document: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(document["reason"], "ModelLoadFailed");
        assert!(document["message"].as_str().unwrap().len() <= MAX_MESSAGE);
        assert!(std::fs::metadata(&path).unwrap().len() <= 4096);
    }
}
