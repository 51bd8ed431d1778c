//! The gRPC status of each kind of error.
//!
//! Data. Beside the HTTP status in `error`; used by the gRPC routes.

use crate::error::Kind;

/// The gRPC statuses that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// 1: the caller went away.
    Cancelled,
    /// 3: the request is wrong.
    InvalidArgument,
    /// 4: the deadline has passed.
    DeadlineExceeded,
    /// 5: no such model, version or service.
    NotFound,
    /// 7: the caller is known, and not allowed.
    PermissionDenied,
    /// 8: the caller has reached its limit.
    ResourceExhausted,
    /// 11: the message is too large.
    OutOfRange,
    /// 12: no such method, or not in this form.
    Unimplemented,
    /// 13: a defect of ours.
    Internal,
    /// 14: not now.
    Unavailable,
    /// 16: the caller is not known.
    Unauthenticated,
}

impl Code {
    /// The value of `grpc-status`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::InvalidArgument => 3,
            Self::DeadlineExceeded => 4,
            Self::NotFound => 5,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::OutOfRange => 11,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }
}

impl Kind {
    /// The gRPC status of the answer.
    pub const fn code(self) -> Code {
        match self {
            Self::BadRoute
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::UnsupportedEncoding => Code::Unimplemented,
            // There is neither JSON nor a label in gRPC: for completeness.
            Self::BadJson
            | Self::UnknownLabel
            | Self::BadRequest
            | Self::BadTensor
            | Self::EngineRejected
            | Self::ResultTooLarge => Code::InvalidArgument,
            Self::UnknownModel | Self::UnknownVersion => Code::NotFound,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::RateLimited => Code::ResourceExhausted,
            Self::BodyTooLarge => Code::OutOfRange,
            Self::BodyTooSlow | Self::Deadline => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Internal => Code::Internal,
            Self::UpstreamBroken | Self::Overloaded | Self::NotReady | Self::Draining => {
                Code::Unavailable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_grpc_status() {
        let number = |kind: Kind| (kind.name(), kind.code().number());
        let expect = [
            ("bad_route", 12),
            ("bad_route", 12),
            ("bad_route", 12),
            ("bad_json", 3),
            ("bad_request", 3),
            ("bad_tensor", 3),
            ("unknown_model", 5),
            ("unknown_version", 5),
            ("unknown_label", 3),
            ("engine_rejected", 3),
            ("result_too_large", 3),
            ("unauthenticated", 16),
            ("forbidden", 7),
            ("body_too_slow", 4),
            ("body_too_large", 11),
            ("unsupported_encoding", 12),
            ("rate_limited", 8),
            ("cancelled", 1),
            ("internal", 13),
            ("upstream_broken", 14),
            ("overloaded", 14),
            ("not_ready", 14),
            ("draining", 14),
            ("deadline", 4),
        ];
        assert_eq!(Kind::ALL.map(number), expect);
    }
}
