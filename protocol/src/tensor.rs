//! Element types, typed buffers and the tensor made of one buffer and one shape.
//!
//! Pure. The codecs of both protocols produce and consume these; the server's batcher and engines take them apart.

mod datatype;
mod edit;
mod strings;

pub use datatype::DataType;
pub use strings::Strings;

use crate::error::{Error, Kind};

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Elements of [`DataType::Bool`].
    Bool(Vec<bool>),
    /// Elements of [`DataType::Int8`].
    Int8(Vec<i8>),
    /// Elements of [`DataType::Int16`].
    Int16(Vec<i16>),
    /// Elements of [`DataType::Int32`].
    Int32(Vec<i32>),
    /// Elements of [`DataType::Int64`].
    Int64(Vec<i64>),
    /// Elements of [`DataType::Uint8`].
    Uint8(Vec<u8>),
    /// Elements of [`DataType::Uint16`].
    Uint16(Vec<u16>),
    /// Elements of [`DataType::Uint32`].
    Uint32(Vec<u32>),
    /// Elements of [`DataType::Uint64`].
    Uint64(Vec<u64>),
    /// Elements of [`DataType::Fp16`], as their bits.
    Fp16(Vec<u16>),
    /// Elements of [`DataType::Bf16`], as their bits.
    Bf16(Vec<u16>),
    /// Elements of [`DataType::Fp32`].
    Fp32(Vec<f32>),
    /// Elements of [`DataType::Fp64`].
    Fp64(Vec<f64>),
    /// Elements of [`DataType::Bytes`].
    Bytes(Strings),
}

impl Data {
    /// A buffer without elements.
    pub const fn empty(datatype: DataType) -> Self {
        match datatype {
            DataType::Bool => Self::Bool(Vec::new()),
            DataType::Int8 => Self::Int8(Vec::new()),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Uint8 => Self::Uint8(Vec::new()),
            DataType::Uint16 => Self::Uint16(Vec::new()),
            DataType::Uint32 => Self::Uint32(Vec::new()),
            DataType::Uint64 => Self::Uint64(Vec::new()),
            DataType::Fp16 => Self::Fp16(Vec::new()),
            DataType::Bf16 => Self::Bf16(Vec::new()),
            DataType::Fp32 => Self::Fp32(Vec::new()),
            DataType::Fp64 => Self::Fp64(Vec::new()),
            DataType::Bytes => Self::Bytes(Strings::new()),
        }
    }

    /// The type of the elements.
    pub const fn datatype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Int8(_) => DataType::Int8,
            Self::Int16(_) => DataType::Int16,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Uint8(_) => DataType::Uint8,
            Self::Uint16(_) => DataType::Uint16,
            Self::Uint32(_) => DataType::Uint32,
            Self::Uint64(_) => DataType::Uint64,
            Self::Fp16(_) => DataType::Fp16,
            Self::Bf16(_) => DataType::Bf16,
            Self::Fp32(_) => DataType::Fp32,
            Self::Fp64(_) => DataType::Fp64,
            Self::Bytes(_) => DataType::Bytes,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int8(values) => values.len(),
            Self::Int16(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Uint8(values) => values.len(),
            Self::Uint16(values) | Self::Fp16(values) | Self::Bf16(values) => values.len(),
            Self::Uint32(values) => values.len(),
            Self::Uint64(values) => values.len(),
            Self::Fp32(values) => values.len(),
            Self::Fp64(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `additional` elements. A hint: it never changes what can be stored.
    pub fn reserve(&mut self, additional: usize) {
        match self {
            Self::Bool(values) => values.reserve(additional),
            Self::Int8(values) => values.reserve(additional),
            Self::Int16(values) => values.reserve(additional),
            Self::Int32(values) => values.reserve(additional),
            Self::Int64(values) => values.reserve(additional),
            Self::Uint8(values) => values.reserve(additional),
            Self::Uint16(values) | Self::Fp16(values) | Self::Bf16(values) => {
                values.reserve(additional);
            }
            Self::Uint32(values) => values.reserve(additional),
            Self::Uint64(values) => values.reserve(additional),
            Self::Fp32(values) => values.reserve(additional),
            Self::Fp64(values) => values.reserve(additional),
            // Their bytes are unknown; the ends alone are not worth it.
            Self::Bytes(_) => {}
        }
    }
}

/// A shape and as many elements as it has. Rank 0 is a scalar, with one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// `None` unless the product of `shape` is the number of elements in `data`.
    pub fn new(shape: Vec<usize>, data: Data) -> Option<Self> {
        (elements(&shape)? == data.len()).then_some(Self { shape, data })
    }

    /// The type of the elements.
    pub const fn datatype(&self) -> DataType {
        self.data.datatype()
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// Shape and elements.
    pub fn into_parts(self) -> (Vec<usize>, Data) {
        (self.shape, self.data)
    }

    /// For an engine that needs text: refuses the first element that is not UTF-8, naming the input.
    /// Elements of other types pass.
    pub fn require_text(&self, input: &str) -> Result<(), Error> {
        let Data::Bytes(strings) = &self.data else {
            return Ok(());
        };
        match strings.first_not_text() {
            None => Ok(()),
            Some(index) => Err(Error::new(
                Kind::BadTensor,
                format!("Input \"{input}\": element {index} is not valid UTF-8"),
            )),
        }
    }
}

/// The product of `shape`: 1 for rank 0, 0 as soon as one dimension is 0. `None` if it exceeds `usize`.
pub fn elements(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1_usize, |product, dim| product.checked_mul(*dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_oip_name_leads_back_to_its_type() {
        for datatype in DataType::ALL {
            assert_eq!(DataType::from_oip_name(datatype.oip_name()), Some(datatype));
            assert_eq!(Data::empty(datatype).datatype(), datatype);
            assert!(Data::empty(datatype).is_empty());
        }
        assert_eq!(DataType::from_oip_name("FLOAT"), None);
        assert_eq!(DataType::from_oip_name("fp32"), None);
    }

    #[test]
    fn a_tensor_has_as_many_elements_as_its_shape_says() {
        let data = || Data::Fp32(vec![0.0; 6]);
        assert!(Tensor::new(vec![2, 3], data()).is_some());
        assert!(Tensor::new(vec![2, 2], data()).is_none());
        assert!(Tensor::new(vec![], data()).is_none());
        assert!(Tensor::new(vec![], Data::Fp32(vec![1.0])).is_some());
        assert!(Tensor::new(vec![usize::MAX, 0], Data::Fp32(vec![])).is_some());
        assert!(
            Tensor::new(vec![usize::MAX, 2], data()).is_none(),
            "the product overflows"
        );
    }

    #[test]
    fn an_engine_that_needs_text_refuses_other_bytes_by_name_and_index() {
        let strings: Strings = [b"ok".as_slice(), b"\xff"].into_iter().collect();
        let tensor = Tensor::new(vec![2], Data::Bytes(strings)).unwrap();
        let error = tensor.require_text("s").unwrap_err();
        assert_eq!(error.text, "Input \"s\": element 1 is not valid UTF-8");
        assert_eq!(error.kind, Kind::BadTensor);
    }
}
