//! What a model takes and gives: names, aliases, element types, declared shapes.
//!
//! Pure. Made by the server's engines when a model is loaded; read by the codecs of both protocols.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, cut};
use crate::tensor::{DataType, Tensor};

/// One declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this size.
    Fixed(usize),
    /// Any size, but the same wherever the model uses this symbol.
    Symbol(String),
    /// Any size.
    Unknown,
}

impl Dim {
    /// The size in metadata and texts: −1 for one that varies.
    pub fn size(&self) -> i64 {
        match self {
            // A dimension beyond i64 cannot be allocated, so no model has one.
            Self::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
            Self::Symbol(_) | Self::Unknown => -1,
        }
    }
}

/// One declared input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the ONNX graph.
    pub name: String,
    /// The element type.
    pub datatype: DataType,
    /// The declared dimensions, outermost first; `None` if the graph does not even say how many.
    pub shape: Option<Vec<Dim>>,
}

/// The inputs and outputs of a model, in graph order, with the names that callers use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    inputs: Side,
    outputs: Side,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    specs: Vec<TensorSpec>,
    /// One per spec: its alias, or its name where the alias would be ambiguous.
    shown: Vec<String>,
    /// Alias and name → index.
    index: BTreeMap<String, usize>,
}

impl Signature {
    /// The signature of a model with these inputs and outputs, each in graph order.
    pub fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self {
            inputs: Side::new(inputs),
            outputs: Side::new(outputs),
        }
    }

    /// The inputs, in graph order.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs.specs
    }

    /// The outputs, in graph order.
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs.specs
    }

    /// The names that callers see for the inputs, in graph order.
    pub fn input_names(&self) -> &[String] {
        &self.inputs.shown
    }

    /// The names that callers see for the outputs, in graph order.
    pub fn output_names(&self) -> &[String] {
        &self.outputs.shown
    }

    /// The index of the input with that alias or full name.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.index.get(name).copied()
    }

    /// The index of the output with that alias or full name.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.index.get(name).copied()
    }

    /// Whether `inputs`, one per declared input in graph order, fit the declared shapes: same rank, fixed dimensions
    /// equal, one value per symbol in the whole request. An unknown rank fits all. The error names the first that does not.
    pub fn fits(&self, inputs: &[Tensor]) -> Result<(), Error> {
        let mut symbols = BTreeMap::new();
        for ((spec, name), tensor) in self.inputs.specs.iter().zip(&self.inputs.shown).zip(inputs) {
            let Some(declared) = &spec.shape else {
                continue;
            };
            if !shape_fits(declared, tensor.shape(), &mut symbols) {
                let text = format!(
                    "Input \"{name}\" has shape {}, but the model declares {}",
                    shape_text(tensor.shape()),
                    declared_text(declared)
                );
                return Err(Error::new(Kind::BadTensor, text));
            }
        }
        Ok(())
    }
}

impl Side {
    fn new(specs: Vec<TensorSpec>) -> Self {
        let shown: Vec<String> = specs
            .iter()
            .map(|spec| alias(spec, &specs).to_owned())
            .collect();
        let mut index = BTreeMap::new();
        for (position, (spec, alias)) in specs.iter().zip(&shown).enumerate() {
            index.insert(spec.name.clone(), position);
            index.insert(alias.clone(), position);
        }
        Self {
            specs,
            shown,
            index,
        }
    }
}

/// The name without leading `serving_default_` and trailing `:<digits>`, where no other has it as name or stem.
fn alias<'a>(spec: &'a TensorSpec, specs: &[TensorSpec]) -> &'a str {
    let stem = stem(&spec.name);
    let taken = specs
        .iter()
        .filter(|other| other.name != spec.name)
        .any(|other| other.name == stem || self::stem(&other.name) == stem);
    if stem.is_empty() || taken {
        &spec.name
    } else {
        stem
    }
}

fn stem(name: &str) -> &str {
    let name = name.strip_prefix("serving_default_").unwrap_or(name);
    match name.rsplit_once(':') {
        Some((stem, digits))
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            stem
        }
        _ => name,
    }
}

fn shape_fits<'a>(
    declared: &'a [Dim],
    sent: &[usize],
    symbols: &mut BTreeMap<&'a str, usize>,
) -> bool {
    declared.len() == sent.len()
        && declared.iter().zip(sent).all(|(dim, size)| match dim {
            Dim::Fixed(fixed) => fixed == size,
            Dim::Symbol(symbol) => symbols.entry(symbol).or_insert(*size) == size,
            Dim::Unknown => true,
        })
}

/// `[2,783]`, cut like any payload.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    cut(&list(shape.iter())).to_owned()
}

/// `[-1,784]`.
fn declared_text(shape: &[Dim]) -> String {
    list(shape.iter().map(Dim::size))
}

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Data;

    fn spec(name: &str, shape: Option<Vec<Dim>>) -> TensorSpec {
        TensorSpec {
            name: name.to_owned(),
            datatype: DataType::Fp32,
            shape,
        }
    }

    #[track_caller]
    fn shown(names: &[&str], expect: &[&str]) {
        let specs = names.iter().map(|name| spec(name, None)).collect();
        let signature = Signature::new(specs, vec![]);
        assert_eq!(signature.input_names(), expect);
        for (position, (name, alias)) in names.iter().zip(expect).enumerate() {
            assert_eq!(signature.input(name), Some(position), "by its full name");
            assert_eq!(signature.input(alias), Some(position), "by its alias");
        }
        assert_eq!(signature.input("nothing"), None);
    }

    #[test]
    fn an_alias_is_the_name_without_what_tensorflow_adds() {
        shown(&["x"], &["x"]);
        shown(&["serving_default_x:0"], &["x"]);
        shown(&["x:0"], &["x"]);
        shown(&["a:b", "c:"], &["a:b", "c:"]);
        shown(&["serving_default_", ":0"], &["serving_default_", ":0"]);
    }

    #[test]
    fn an_alias_that_would_be_ambiguous_stays_the_full_name() {
        shown(&["x:0", "x:1"], &["x:0", "x:1"]);
        shown(&["x", "x:0"], &["x", "x:0"]);
        shown(
            &["serving_default_x", "x:0", "y:0"],
            &["serving_default_x", "x:0", "y"],
        );
    }

    #[track_caller]
    fn fits(declared: &[Option<Vec<Dim>>], sent: &[&[usize]], expect: Result<(), &str>) {
        let names = ["x", "y"];
        let specs = names
            .iter()
            .zip(declared)
            .map(|(n, shape)| spec(n, shape.clone()))
            .collect();
        let tensors: Vec<Tensor> = sent
            .iter()
            .map(|shape| {
                let data = Data::Fp32(vec![0.0; shape.iter().product()]);
                Tensor::new(shape.to_vec(), data).unwrap()
            })
            .collect();
        let result = Signature::new(specs, vec![]).fits(&tensors);
        assert_eq!(
            result.map_err(|error| error.text),
            expect.map_err(str::to_owned)
        );
    }

    #[test]
    fn a_shape_fits_by_rank_fixed_dimensions_and_symbols() {
        let batch = || Dim::Symbol("N".to_owned());
        fits(&[None], &[&[3, 1, 4]], Ok(()));
        fits(
            &[Some(vec![Dim::Unknown, Dim::Fixed(784)])],
            &[&[2, 784]],
            Ok(()),
        );
        let narrow = "Input \"x\" has shape [2,783], but the model declares [-1,784]";
        fits(
            &[Some(vec![batch(), Dim::Fixed(784)])],
            &[&[2, 783]],
            Err(narrow),
        );
        let rank = "Input \"x\" has shape [3], but the model declares [-1,1]";
        fits(&[Some(vec![batch(), Dim::Fixed(1)])], &[&[3]], Err(rank));
        fits(&[Some(vec![])], &[&[]], Ok(()));
        fits(
            &[Some(vec![batch()]), Some(vec![batch()])],
            &[&[2], &[2]],
            Ok(()),
        );
        let differ = "Input \"y\" has shape [3], but the model declares [-1]";
        fits(
            &[Some(vec![batch()]), Some(vec![batch()])],
            &[&[2], &[3]],
            Err(differ),
        );
        fits(
            &[Some(vec![Dim::Unknown]), Some(vec![Dim::Unknown])],
            &[&[2], &[3]],
            Ok(()),
        );
    }
}
