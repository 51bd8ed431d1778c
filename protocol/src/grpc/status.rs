//! The text of a failure, as the header `grpc-message` carries it.
//!
//! Pure. Called by the server's gRPC routes. Source: gRPC over HTTP/2, "Percent-Encoded".

use std::fmt::Write as _;

/// Bytes of a text that are sent: clients take 8 KiB of trailers, and a byte can become three.
const MAX_TEXT: usize = 2048;

/// The first 2 KiB of `text` with every byte percent-encoded that is not printable ASCII, and `%` itself.
pub fn status_message(text: &str) -> String {
    let text = text.get(..text.floor_char_boundary(MAX_TEXT));
    let text = text.unwrap_or_default();
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _infallible = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_characters_stand_for_themselves() {
        let text = "Input \"x\": element 1, 50 of 100 ~";
        assert_eq!(status_message(text), text);
        assert_eq!(status_message("50 %\n\u{7f}ü"), "50 %25%0A%7F%C3%BC");
    }
}
