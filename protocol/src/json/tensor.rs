//! Writes the elements of a tensor as JSON, nested or flat.
//!
//! Pure. Called by the writers of `v1` and `v2`.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Kind};
use crate::json::write::{float32, float64, integer, string};
use crate::nonfinite::Nonfinite;
use crate::number::{bf16_to_f32, f16_to_f32};
use crate::tensor::Data;

/// How elements are written.
pub(crate) struct Style {
    /// The form of NaN and the infinities.
    pub(crate) nonfinite: Nonfinite,
    /// The form of byte strings.
    pub(crate) text: Text,
    /// Writing stops with `result_too_large` soon after that many bytes.
    pub(crate) limit: usize,
}

/// The form of byte strings.
#[derive(Clone, Copy)]
pub(crate) enum Text {
    /// A JSON string if UTF-8, else `{"b64":…}`.
    Either,
    /// Always `{"b64":…}`.
    Base64,
    /// A JSON string; what is not UTF-8 is an error.
    Plain,
}

/// Writes `elements` of `data` in nested lists of `shape`. Iterative: one counter per dimension.
pub(crate) fn nested(
    out: &mut Vec<u8>,
    shape: &[usize],
    data: &Data,
    elements: Range<usize>,
    style: &Style,
) -> Result<(), Error> {
    let Some((inner, outer)) = shape.split_last() else {
        return flat(out, data, elements, style);
    };
    // How many lists are open, and how many items each of them has so far.
    let mut counts: Vec<usize> = Vec::with_capacity(outer.len());
    let mut start = elements.start;
    loop {
        // Down to an innermost list, or to an outer one without items.
        while let Some(size) = outer.get(counts.len()) {
            out.push(b'[');
            counts.push(0);
            if *size == 0 {
                break;
            }
        }
        if counts.len() == outer.len() && counts.iter().zip(outer).all(|(count, size)| count < size)
        {
            out.push(b'[');
            let end = start.saturating_add(*inner);
            flat(out, data, start..end, style)?;
            out.push(b']');
            start = end;
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
        // Up, past every list that is complete.
        loop {
            if out.len() > style.limit {
                return Err(Error::result_too_large(style.limit));
            }
            let Some(count) = counts.last() else {
                return Ok(());
            };
            if outer.get(counts.len() - 1).is_some_and(|size| count < size) {
                out.push(b',');
                break;
            }
            out.push(b']');
            counts.pop();
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
    }
}

/// Writes `elements` of `data` with commas between them.
pub(crate) fn flat(
    out: &mut Vec<u8>,
    data: &Data,
    elements: Range<usize>,
    style: &Style,
) -> Result<(), Error> {
    let words = [b"false".as_slice(), b"true"];
    let nonfinite = style.nonfinite;
    match data {
        Data::Bool(all) => list(out, all, elements, style, |out, value| {
            out.extend_from_slice(words.get(usize::from(*value)).copied().unwrap_or_default());
        }),
        Data::Int8(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Int16(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Int32(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Int64(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Uint8(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Uint16(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Uint32(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Uint64(all) => list(out, all, elements, style, |out, value| integer(out, *value)),
        Data::Fp16(all) => list(out, all, elements, style, |out, value| {
            float32(out, f16_to_f32(*value), nonfinite);
        }),
        Data::Bf16(all) => list(out, all, elements, style, |out, value| {
            float32(out, bf16_to_f32(*value), nonfinite);
        }),
        Data::Fp32(all) => list(out, all, elements, style, |out, value| {
            float32(out, *value, nonfinite);
        }),
        Data::Fp64(all) => list(out, all, elements, style, |out, value| {
            float64(out, *value, nonfinite);
        }),
        Data::Bytes(all) => {
            for (position, index) in elements.enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                let Some(value) = all.get(index) else { break };
                bytes(out, value, style.text).ok_or_else(|| not_text(index))?;
                if out.len() > style.limit {
                    return Err(Error::result_too_large(style.limit));
                }
            }
            Ok(())
        }
    }
}

/// One `v2` output that must be requested in binary form; the caller puts the output's name in front.
fn not_text(index: usize) -> Error {
    let text = format!("element {index} is not UTF-8; request it with binary_data");
    Error::new(Kind::BadTensor, text)
}

fn list<T>(
    out: &mut Vec<u8>,
    all: &[T],
    elements: Range<usize>,
    style: &Style,
    write: impl Fn(&mut Vec<u8>, &T),
) -> Result<(), Error> {
    // In chunks: the limit is looked at often enough to bound memory, and rarely enough to cost nothing.
    for (chunk, values) in all
        .get(elements)
        .unwrap_or_default()
        .chunks(4096)
        .enumerate()
    {
        for (position, value) in values.iter().enumerate() {
            if chunk > 0 || position > 0 {
                out.push(b',');
            }
            write(out, value);
        }
        if out.len() > style.limit {
            return Err(Error::result_too_large(style.limit));
        }
    }
    Ok(())
}

fn bytes(out: &mut Vec<u8>, value: &[u8], text: Text) -> Option<()> {
    match (text, str::from_utf8(value)) {
        (Text::Either | Text::Plain, Ok(plain)) => string(out, plain),
        (Text::Plain, Err(_)) => return None,
        (Text::Base64, _) | (Text::Either, Err(_)) => {
            out.extend_from_slice(b"{\"b64\":\"");
            out.extend_from_slice(STANDARD.encode(value).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
    Some(())
}
