//! Element types, typed buffers and the tensor made of one buffer and one shape.
//!
//! Pure. The codecs of both protocols produce and consume these; the server's batcher and engines take them apart.

use crate::error::{Error, Kind};

/// The element type of a tensor: the intersection of what ONNX, TensorFlow Serving and the Open Inference Protocol name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataType {
    /// `true` or `false`.
    Bool,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// IEEE 754 binary16.
    Fp16,
    /// The upper half of an IEEE 754 binary32.
    Bf16,
    /// IEEE 754 binary32.
    Fp32,
    /// IEEE 754 binary64.
    Fp64,
    /// Byte strings of any length; text is UTF-8.
    Bytes,
}

impl DataType {
    /// Every type, in the order of the table in the documentation.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The name in the Open Inference Protocol: `FP32`.
    pub const fn oip_name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The type with that [`DataType::oip_name`].
    pub fn from_oip_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|datatype| datatype.oip_name() == name)
    }

    /// The name in TensorFlow's error texts: `float`.
    pub const fn tfs_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Fp16 => "half",
            Self::Bf16 => "bfloat16",
            Self::Fp32 => "float",
            Self::Fp64 => "double",
            Self::Bytes => "string",
        }
    }

    /// The name in TensorFlow Serving's metadata: `DT_FLOAT`.
    pub const fn tfs_constant(self) -> &'static str {
        match self {
            Self::Bool => "DT_BOOL",
            Self::Int8 => "DT_INT8",
            Self::Int16 => "DT_INT16",
            Self::Int32 => "DT_INT32",
            Self::Int64 => "DT_INT64",
            Self::Uint8 => "DT_UINT8",
            Self::Uint16 => "DT_UINT16",
            Self::Uint32 => "DT_UINT32",
            Self::Uint64 => "DT_UINT64",
            Self::Fp16 => "DT_HALF",
            Self::Bf16 => "DT_BFLOAT16",
            Self::Fp32 => "DT_FLOAT",
            Self::Fp64 => "DT_DOUBLE",
            Self::Bytes => "DT_STRING",
        }
    }

    /// Bytes of one element; `None` for [`DataType::Bytes`], whose elements differ.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Fp32 => Some(4),
            Self::Int64 | Self::Uint64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

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
    pub(crate) fn reserve(&mut self, additional: usize) {
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

/// Byte strings, one behind the other in a single buffer: a million short ones cost two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`; ascending.
    ends: Vec<usize>,
}

impl Strings {
    /// No strings.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Appends a copy of `string`.
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// Appends to a string that [`Strings::finish`] will end.
    pub(crate) fn extend(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Ends the string that [`Strings::extend`] has built.
    pub(crate) fn finish(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// The number of strings.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no string.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.bytes.get(start..end)
    }

    /// All strings, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The bytes of all strings together.
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The index of the first string that is not UTF-8.
    pub fn first_not_text(&self) -> Option<usize> {
        self.iter()
            .position(|string| str::from_utf8(string).is_err())
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Self::new();
        for string in strings {
            all.push(string.as_ref());
        }
        all
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
    fn strings_keep_their_borders() {
        let strings: Strings = ["ab", "", "c"].into_iter().collect();
        assert_eq!(
            strings.iter().collect::<Vec<_>>(),
            [b"ab".as_slice(), b"", b"c"]
        );
        assert_eq!(strings.get(3), None);
        assert_eq!(
            (strings.len(), strings.byte_len(), strings.is_empty()),
            (3, 3, false)
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
