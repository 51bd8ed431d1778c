//! Changes typed buffers without knowing their type.
//!
//! Pure. Used where a tensor is put together from parts: the examples of `v1::parse_examples`.

use super::Data;

impl Data {
    /// Drops all but the first `len` elements.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Bool(values) => values.truncate(len),
            Self::Int8(values) => values.truncate(len),
            Self::Int16(values) => values.truncate(len),
            Self::Int32(values) => values.truncate(len),
            Self::Int64(values) => values.truncate(len),
            Self::Uint8(values) => values.truncate(len),
            Self::Uint16(values) | Self::Fp16(values) | Self::Bf16(values) => values.truncate(len),
            Self::Uint32(values) => values.truncate(len),
            Self::Uint64(values) => values.truncate(len),
            Self::Fp32(values) => values.truncate(len),
            Self::Fp64(values) => values.truncate(len),
            Self::Bytes(values) => values.truncate(len),
        }
    }

    /// Appends a copy of `other`, which has the same type; another type is left out.
    pub(crate) fn append(&mut self, other: &Self) {
        match (self, other) {
            (Self::Bool(values), Self::Bool(more)) => values.extend_from_slice(more),
            (Self::Int8(values), Self::Int8(more)) => values.extend_from_slice(more),
            (Self::Int16(values), Self::Int16(more)) => values.extend_from_slice(more),
            (Self::Int32(values), Self::Int32(more)) => values.extend_from_slice(more),
            (Self::Int64(values), Self::Int64(more)) => values.extend_from_slice(more),
            (Self::Uint8(values), Self::Uint8(more)) => values.extend_from_slice(more),
            (Self::Uint16(values), Self::Uint16(more))
            | (Self::Fp16(values), Self::Fp16(more))
            | (Self::Bf16(values), Self::Bf16(more)) => values.extend_from_slice(more),
            (Self::Uint32(values), Self::Uint32(more)) => values.extend_from_slice(more),
            (Self::Uint64(values), Self::Uint64(more)) => values.extend_from_slice(more),
            (Self::Fp32(values), Self::Fp32(more)) => values.extend_from_slice(more),
            (Self::Fp64(values), Self::Fp64(more)) => values.extend_from_slice(more),
            (Self::Bytes(values), Self::Bytes(more)) => {
                more.iter().for_each(|string| values.push(string));
            }
            _ => {}
        }
    }

    /// The bytes that the elements take; for strings with the places where they end.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Bytes(values) => {
                let ends = values.len().saturating_mul(size_of::<usize>());
                values.byte_len().saturating_add(ends)
            }
            _ => {
                let size = self.datatype().size().unwrap_or_default();
                self.len().saturating_mul(size)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DataType, Strings};

    #[test]
    fn what_is_appended_and_cut_off_leaves_the_rest() {
        let mut data = Data::Fp32(vec![1.0, 2.0]);
        data.append(&Data::Fp32(vec![3.0]));
        assert_eq!((data.len(), data.byte_len()), (3, 12));
        data.truncate(1);
        assert_eq!(data, Data::Fp32(vec![1.0]));

        let strings = |all: &[&str]| Data::Bytes(all.iter().collect::<Strings>());
        let mut data = strings(&["ab", "c"]);
        data.append(&strings(&["", "d"]));
        assert_eq!(data, strings(&["ab", "c", "", "d"]));
        assert_eq!(data.byte_len(), 4 + 4 * size_of::<usize>());
        data.truncate(1);
        assert_eq!(data, strings(&["ab"]));
    }

    #[test]
    fn every_type_can_be_edited() {
        for datatype in DataType::ALL {
            let mut data = Data::empty(datatype);
            data.append(&Data::empty(datatype));
            data.truncate(0);
            assert_eq!((data.len(), data.byte_len()), (0, 0), "{datatype:?}");
        }
    }
}
