//! One stored tensor: its dimensions against its data, wherever that is.
//!
//! Pure. Called by `check` for initializers and for tensors in attributes.

use super::wire::{Fields, Malformed, bytes, entries, integer, once, text, varints};
use super::{MAX_RANK, Refusal, Surroundings, graph::check_name, shown};

/// A stored tensor, taken apart.
#[derive(Default)]
pub(super) struct Stored<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) element_type: i64,
    pub(super) raw: &'a [u8],
    /// The fields of 64-bit integers, as they are.
    pub(super) int64: Vec<i64>,
    typed: usize,
    external: Vec<(&'a str, &'a str)>,
    is_external: bool,
}

impl<'a> Stored<'a> {
    /// The file that its data lies in, if it is not in the model file.
    pub(super) fn location(&self) -> Option<&'a str> {
        let location = self.external.iter().find(|(name, _)| *name == "location");
        location
            .filter(|_| self.is_external)
            .map(|(_, value)| *value)
    }
}

/// Bytes of an element by ONNX's number of its type; 0 for strings, `None` for types that nothing here knows.
const fn element_size(element_type: i64) -> Option<u64> {
    Some(match element_type {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        8 => 0,
        _ => return None,
    })
}

pub(super) fn read(message: &[u8]) -> Result<Stored<'_>, Malformed> {
    let mut tensor = Stored::default();
    for field in Fields::new(message) {
        match field? {
            (1, value) => tensor
                .dims
                .extend(varints(value)?.into_iter().map(u64::cast_signed)),
            (2, value) => tensor.element_type = integer(value)?,
            (4, value) => tensor.typed += entries(value, 4)?,
            (5 | 11, value) => tensor.typed += entries(value, 0)?,
            (6, value) => {
                bytes(value)?;
                tensor.typed += 1;
            }
            (7, value) => {
                tensor.typed += entries(value, 0)?;
                // Shapes are short; long lists of integers are weights, whose values do not matter here.
                if tensor.int64.len() <= MAX_RANK {
                    tensor
                        .int64
                        .extend(varints(value)?.into_iter().map(u64::cast_signed));
                }
            }
            (8, value) => tensor.name = text(value)?,
            (9, value) => tensor.raw = bytes(value)?,
            (10, value) => tensor.typed += entries(value, 8)?,
            (13, value) => tensor.external.push(entry(bytes(value)?)?),
            (14, value) => tensor.is_external = integer(value)? == 1,
            _ => {}
        }
    }
    Ok(tensor)
}

fn entry(message: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut key, mut entry) = (None, None);
    for field in Fields::new(message) {
        match field? {
            (1, value) => once(&mut key, value)?,
            (2, value) => once(&mut entry, value)?,
            _ => {}
        }
    }
    let text = |bytes: Option<_>| {
        str::from_utf8(bytes.unwrap_or_default())
            .ok()
            .ok_or(Malformed)
    };
    Ok((text(key)?, text(entry)?))
}

/// Refuses a tensor whose data is not exactly what its dimensions say.
pub(super) fn check(message: &[u8], surroundings: &Surroundings<'_>) -> Result<(), Refusal> {
    let tensor = read(message)?;
    check_name(tensor.name)?;
    let refuse = |text: String| {
        Err(Refusal::new(format!(
            "tensor {}: {text}",
            shown(tensor.name)
        )))
    };
    if tensor.dims.len() > MAX_RANK {
        return refuse(format!(
            "has {} dimensions, at most {MAX_RANK} are allowed",
            tensor.dims.len()
        ));
    }
    let Some(size) = element_size(tensor.element_type) else {
        return refuse(format!(
            "element type {} is not supported",
            tensor.element_type
        ));
    };
    if let Some(dim) = tensor.dims.iter().find(|dim| **dim < 0) {
        return refuse(format!("dimension {dim} is negative"));
    }
    let Some(elements) = product(&tensor.dims) else {
        return refuse(format!("dimensions {:?} are too large", tensor.dims));
    };
    if tensor.is_external && tensor.raw.is_empty() {
        let Some(expected) = elements.checked_mul(size).filter(|_| size > 0) else {
            return refuse("cannot be external data".to_owned());
        };
        return match external(&tensor, surroundings) {
            Ok(length) if length == expected => Ok(()),
            Ok(length) => refuse(format!(
                "needs {expected} bytes, its external data has {length}"
            )),
            Err(text) => refuse(text),
        };
    }
    let (have, need) = if tensor.raw.is_empty() {
        (tensor.typed as u64, Some(elements))
    } else if size == 0 {
        return refuse("strings cannot be raw data".to_owned());
    } else {
        (tensor.raw.len() as u64, elements.checked_mul(size))
    };
    match need {
        Some(need) if need == have => Ok(()),
        Some(need) => refuse(format!(
            "its dimensions need {need} bytes or values, its data has {have}"
        )),
        None => refuse(format!("dimensions {:?} are too large", tensor.dims)),
    }
}

/// The checked product of dimensions that are not negative.
fn product(dims: &[i64]) -> Option<u64> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1_u64, |product, dim| {
        product.checked_mul(u64::try_from(*dim).ok()?)
    })
}

/// The number of bytes that an external tensor takes from one of the model's files.
fn external(tensor: &Stored<'_>, surroundings: &Surroundings<'_>) -> Result<u64, String> {
    let value = |key| {
        tensor
            .external
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    let number = |key| match value(key) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("its external data has no valid {key}")),
        },
    };
    let location = value("location").ok_or("its external data has no location")?;
    let Some(size) = surroundings.files.get(location) else {
        let text = "is external data in a file that does not belong to the model";
        return Err(format!("{text}: \"{}\"", shown(location)));
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or_else(|| size.saturating_sub(offset));
    match offset.checked_add(length) {
        Some(end) if end <= *size => Ok(length),
        _ => Err(format!(
            "its external data ends beyond the {size} bytes of \"{}\"",
            shown(location)
        )),
    }
}
