//! Why a connection to a gateway has ended before its time.
//!
//! Pure. Made by everything that reads, counted and logged by `reader`. Texts hold nothing of what was
//! sent: among it are tokens.

use std::io;

use http::StatusCode;

/// Why a connection has ended. Whatever it is, another one is made, and what was heard before stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("failed to read this operator's token for gateways: {0}")]
    Token(String),
    #[error("failed to connect to the gateway")]
    Unreached(#[source] io::Error),
    #[error("failed to talk to the gateway")]
    Talk(#[source] hyper::Error),
    #[error("the gateway did not answer in time")]
    Unanswered,
    #[error("the gateway does not let this operator read, by {0}")]
    Refused(StatusCode),
    #[error("the gateway's answer is no stream of signals")]
    NotSignals,
    #[error("a line has more than {} bytes", aimass_crds::signals::LINE)]
    TooLong,
    #[error("a line is no message: wrong at column {column}")]
    NotAMessage { column: usize },
    #[error("a line breaks a rule: {0}")]
    OutOfRange(&'static str),
    #[error("a line was lost: it has number {seen}, expected was {expected}")]
    Gap { expected: u64, seen: u64 },
    #[error("the gateway is not the pod of its endpoint")]
    Stranger,
    #[error("the API server does not say whose token the gateway has: {0}")]
    Unreviewed(String),
    #[error("no line came in time")]
    Stalled,
    #[error("the stream ended without a word")]
    Ended,
    #[error("the connection had its time")]
    Overdue,
    #[error("reading panicked")]
    Panicked,
}

impl Broken {
    /// The label of the metric: a closed set.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Token(_) => "Token",
            Self::Unreached(_) | Self::Unanswered => "Unreached",
            Self::Refused(_) => "Refused",
            Self::NotSignals => "NotSignals",
            Self::TooLong => "TooLong",
            Self::NotAMessage { .. } => "NotAMessage",
            Self::OutOfRange(_) => "OutOfRange",
            Self::Gap { .. } => "Gap",
            Self::Stranger => "Stranger",
            Self::Unreviewed(_) => "Unreviewed",
            Self::Stalled => "Stalled",
            Self::Talk(_) | Self::Ended => "Ended",
            Self::Overdue => "Overdue",
            Self::Panicked => "Panicked",
        }
    }
}
