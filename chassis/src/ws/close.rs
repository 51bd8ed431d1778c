//! Why our side closes a WebSocket, as the caller is told: RFC 6455 §7.4 and its registry.

/// A close code and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// What a program reads.
    pub code: u16,
    /// What a person reads; at most 123 bytes.
    pub reason: &'static str,
}

impl Close {
    /// Nothing was asked for long.
    pub const IDLE: Self = Self::new(
        1001,
        "no message for 10 minutes: connect again when there is one",
    );
    /// The frames break the protocol; an unmasked one does.
    pub const PROTOCOL: Self = Self::new(1002, "a frame breaks the WebSocket protocol");
    /// A binary message where only text has a meaning.
    pub const DATA_TYPE: Self = Self::new(1003, "this path takes text messages only");
    /// Text that is none.
    pub const ENCODING: Self = Self::new(1007, "a text message is not UTF-8");
    /// Too many messages that make no sense.
    pub const MALFORMED: Self = Self::new(
        1008,
        "too many malformed messages in a row: see the errors that were answered",
    );
    /// A message of too many bytes.
    pub const TOO_LARGE: Self = Self::new(1009, "a message is larger than the server takes");
    /// A message of too many pieces.
    pub const FRAGMENTS: Self = Self::new(
        1009,
        "a message has too many fragments: send it in fewer frames",
    );
    /// A defect of ours.
    pub const INTERNAL: Self = Self::new(1011, "internal error");
    /// The process ends; what was in flight has been answered.
    pub const DRAIN: Self = Self::new(1012, "the server is shutting down: connect again");
    /// All callers together send more than can be held.
    pub const MEMORY: Self = Self::new(
        1013,
        "too many messages are on their way: connect again later",
    );

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_control_frame() {
        let all = [
            Close::IDLE,
            Close::PROTOCOL,
            Close::DATA_TYPE,
            Close::ENCODING,
            Close::MALFORMED,
            Close::TOO_LARGE,
            Close::FRAGMENTS,
            Close::INTERNAL,
            Close::DRAIN,
            Close::MEMORY,
        ];
        for close in all {
            // A control frame holds 125 bytes, two of them for the code.
            assert!(close.reason.len() <= 123, "{close:?}");
        }
    }
}
