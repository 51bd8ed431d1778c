//! Counts what the frames below do not bound: the fragments of a message, and the bytes of one that is not complete.
//!
//! Pure: raw bytes in. Reads the headers of frames (RFC 6455 §5.2) and nothing else; whether they are right is judged by
//! the protocol above. Used by `wire` on every byte that comes.

/// The bytes that a header may have: two, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    header: [u8; MAX_HEADER],
    /// Bytes of `header` that have come.
    have: usize,
    /// Bytes of the frame's payload that are still to come.
    left: u64,
    /// The frame is part of a message.
    data: bool,
    /// It is the last part.
    last: bool,
    fragments: u32,
    bytes: u64,
}

impl Fragments {
    /// Takes the next bytes of the stream; gives the most fragments that a message had in them.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> u32 {
        let mut most = 0;
        while !bytes.is_empty() {
            if self.left > 0 {
                let part =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = bytes.get(part..).unwrap_or_default();
                self.payload(part as u64);
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if self.head(*byte) {
                most = most.max(self.fragments);
                self.payload(0);
            }
        }
        most
    }

    /// Bytes of the message that is not complete.
    pub(super) const fn unfinished(&self) -> u64 {
        self.bytes
    }

    /// One byte of a header; true if it was the last.
    fn head(&mut self, byte: u8) -> bool {
        if let Some(place) = self.header.get_mut(self.have) {
            *place = byte;
            self.have += 1;
        }
        let [first, second, ..] = self.header;
        let (extended, short) = match second & 0x7f {
            127 => (8, 0),
            126 => (2, 0),
            length => (0, length),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.have < 2 || self.have < 2 + extended + mask {
            return false;
        }
        let long = self.header.get(2..2 + extended).unwrap_or_default();
        let long = long
            .iter()
            .fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        self.left = if extended == 0 {
            u64::from(short)
        } else {
            long
        };
        self.have = 0;
        // Opcodes from 8 on are control frames, which may stand between the parts of a message.
        self.data = first & 0x08 == 0;
        self.last = first & 0x80 != 0;
        if self.data {
            self.fragments = self.fragments.saturating_add(1);
        }
        true
    }

    /// Bytes of a payload; perhaps its end.
    fn payload(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        if self.data {
            self.bytes = self.bytes.saturating_add(bytes);
            if self.last && self.left == 0 {
                (self.fragments, self.bytes) = (0, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![0xff; length]);
        frame
    }

    const TEXT: u8 = 0x01;
    const MORE: u8 = 0x00;
    const LAST: u8 = 0x80;
    const PING: u8 = 0x89;

    /// However the bytes are cut, the frames have so many fragments at most, and so many bytes stay unfinished.
    #[track_caller]
    fn check(frames: &[Vec<u8>], fragments: u32, unfinished: u64) {
        let bytes = frames.concat();
        for size in [1, 2, 3, 7, 1000, usize::MAX] {
            let mut counter = Fragments::default();
            let most = bytes
                .chunks(size.min(bytes.len()))
                .map(|chunk| counter.take(chunk))
                .max();
            assert_eq!(most, Some(fragments), "in pieces of {size}");
            assert_eq!(counter.unfinished(), unfinished, "in pieces of {size}");
        }
    }

    #[test]
    fn a_whole_message_is_one_fragment() {
        for length in [0, 1, 125, 126, 65535, 65536, 100_000] {
            check(
                &[frame(TEXT | LAST, length), frame(TEXT | LAST, length)],
                1,
                0,
            );
        }
    }

    #[test]
    fn the_parts_of_a_message_are_counted_and_pings_are_not() {
        let parts = [
            frame(TEXT, 10),
            frame(PING, 3),
            frame(MORE, 0),
            frame(MORE, 200),
        ];
        check(&parts, 3, 210);
        let end = [frame(MORE | LAST, 1), frame(TEXT | LAST, 5)];
        check(&[&parts[..], &end].concat(), 4, 0);
    }

    #[test]
    fn what_has_come_of_a_frame_is_unfinished() {
        let mut part = frame(TEXT | LAST, 70_000);
        part.truncate(14 + 60_000);
        check(&[part], 1, 60_000);
    }

    #[test]
    fn an_unmasked_frame_and_an_impossible_length_are_counted_as_they_are() {
        check(&[vec![TEXT | LAST, 2, b'h', b'i'], frame(TEXT, 1)], 1, 1);
        let mut counter = Fragments::default();
        counter.take(&[
            TEXT | LAST,
            127,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            1,
            2,
        ]);
        assert_eq!(counter.unfinished(), 2);
    }

    #[test]
    fn empty_fragments_are_counted() {
        let many: Vec<_> = (0..2000).map(|_| frame(MORE, 0)).collect();
        check(&many, 2000, 0);
    }
}
