//! Whether a binary runs in an empty root. Pure.

/// The type of the program header that names the loader (elf(5), `PT_INTERP`).
const INTERPRETER: u32 = 3;

/// Whether a 64-bit little-endian ELF file needs no loader. Anything else is not static.
pub(super) fn is_static(binary: &[u8]) -> bool {
    // Magic number, 64 bits, least significant byte first.
    if binary.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return false;
    }
    let headers = number(binary, 32, 8);
    let (size, count) = (number(binary, 54, 2), number(binary, 56, 2));
    let (Some(headers), Some(size), Some(count)) = (headers, size, count) else {
        return false;
    };
    (0..count).all(|index| {
        let at = index
            .checked_mul(size)
            .and_then(|offset| headers.checked_add(offset));
        let kind = at.and_then(|at| number(binary, at, 4));
        kind.is_some_and(|kind| kind != u64::from(INTERPRETER))
    })
}

fn number(binary: &[u8], at: u64, length: usize) -> Option<u64> {
    let start = usize::try_from(at).ok()?;
    let bytes = binary.get(start..start.checked_add(length)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of type `kind` behind it.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = kind;
        bytes
    }

    #[test]
    fn a_loader_is_noticed() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
    }

    #[test]
    fn what_is_no_whole_binary_is_not_static() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(1)[..66]));
        assert!(!is_static(&[]));
    }
}
