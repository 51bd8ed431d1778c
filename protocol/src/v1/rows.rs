//! Reads `instances`: a list of rows, each a value or an object of values.
//!
//! Pure. Called by `v1::parse`. All rows of an input have one shape; the tensor has the number of rows in front of it.

use crate::error::{Error, Kind, cut_half};
use crate::json::compact::compact;
use crate::json::read::{Fail, Reader};
use crate::signature::{Signature, shape_text};
use crate::tensor::{Data, Tensor};
use crate::v1::value::{MAX_RANK, Shape, base64_object, value};

/// One input while its rows come in.
struct Column {
    data: Data,
    /// The shape of the first row; all others must have it.
    shape: Option<Vec<usize>>,
    /// How many rows have had this input: in the current one if this is its number plus one.
    rows: usize,
}

/// What every row needs anew, allocated once.
#[derive(Default)]
struct Scratch {
    key: String,
    shape: Shape,
}

/// The tensors, in graph order; `None` if there are no rows. The cursor is at the list.
pub(super) fn rows(
    reader: &mut Reader<'_>,
    signature: &Signature,
) -> Result<Option<Vec<Tensor>>, Fail> {
    if !reader.open(b']') {
        return Ok(None);
    }
    let column = |datatype| Column {
        data: Data::empty(datatype),
        shape: None,
        rows: 0,
    };
    let mut columns: Vec<Column> = signature
        .inputs()
        .iter()
        .map(|spec| column(spec.datatype))
        .collect();
    let objects = is_object(reader)?;
    if !objects && columns.len() != 1 {
        let text = "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map";
        return Err(Error::new(Kind::BadRequest, text).into());
    }
    let mut scratch = Scratch::default();
    let mut count = 0;
    loop {
        let start = reader.position;
        let object = is_object(reader)?;
        match (objects, object) {
            (true, true) => object_row(reader, signature, &mut columns, count, &mut scratch)?,
            (true, false) => {
                let text = format!("Expecting object but got list at item {count} of input list");
                return Err(Error::new(Kind::BadTensor, text).into());
            }
            (false, true) => {
                let text =
                    format!("Expecting value/list but got object at item {count} of input list");
                return Err(Error::new(Kind::BadTensor, text).into());
            }
            (false, false) => {
                for column in &mut columns {
                    let differs = column
                        .row(reader, &mut scratch.shape)
                        .map_err(|fail| in_row(fail, count, None))?;
                    if let Some(error) = differs {
                        return Err(in_row(error.into(), count, None));
                    }
                }
            }
        }
        count += 1;
        if !reader.next_item()? {
            break;
        }
        reader.next_token();
        if count == 1 {
            reserve(reader, &mut columns, start);
        }
    }
    Ok(Some(
        columns
            .into_iter()
            .map(|column| column.tensor(count))
            .collect(),
    ))
}

/// Whether the next row is an object, and not the base64 form of a string.
fn is_object(reader: &mut Reader<'_>) -> Result<bool, Fail> {
    if reader.next_token() != Some(b'{') {
        return Ok(false);
    }
    let start = reader.position;
    let base64 = base64_object(reader)?.is_some();
    reader.position = start;
    Ok(!base64)
}

fn object_row(
    reader: &mut Reader<'_>,
    signature: &Signature,
    columns: &mut [Column],
    count: usize,
    scratch: &mut Scratch,
) -> Result<(), Fail> {
    let Scratch { key, shape } = scratch;
    let start = reader.position;
    let mut found = 0;
    let mut differs = None;
    let mut more = reader.open(b'}');
    while more {
        reader.name(key)?;
        // Most rows have their keys in graph order.
        let expected = signature.input_names().get(found);
        let index = match expected {
            Some(name) if name == key => Some(found),
            _ => signature.input(key),
        };
        let column = index.and_then(|index| columns.get_mut(index));
        let Some(column) = column else {
            let text = format!("JSON object: does not have named input: {}", cut_half(key));
            return Err(in_row(
                Error::new(Kind::BadRequest, text).into(),
                count,
                Some(key),
            ));
        };
        if column.rows > count {
            let text = format!("JSON object: duplicate key: {}", cut_half(key));
            return Err(in_row(
                Error::new(Kind::BadRequest, text).into(),
                count,
                Some(key),
            ));
        }
        let different = column
            .row(reader, shape)
            .map_err(|fail| in_row(fail, count, Some(key)))?;
        // What is wrong inside a row comes before what is wrong between rows.
        if let Some(error) = different {
            differs.get_or_insert_with(|| in_row(error.into(), count, Some(key)));
        }
        found += 1;
        more = reader.next_member()?;
    }
    if found != columns.len() {
        let mut names = signature.input_names().to_vec();
        names.sort_unstable();
        let text = format!(
            "Failed to process element: {count} of 'instances' list. JSON object: JSON Value: {} keys must be equal to: {}",
            compact(reader.bytes, start),
            names.join(",")
        );
        return Err(Error::new(Kind::BadRequest, text).into());
    }
    differs.map_or(Ok(()), Err)
}

/// Says where in the list `fail` happened.
fn in_row(fail: Fail, count: usize, key: Option<&str>) -> Fail {
    match fail {
        Fail::Meaning(Error { kind, text }) => {
            let key = key
                .map(|key| format!(" key: {}", cut_half(key)))
                .unwrap_or_default();
            let text = format!(
                "Failed to process element: {count}{key} of 'instances' list. Error: INVALID_ARGUMENT: {text}"
            );
            Error::new(kind, text).into()
        }
        Fail::Syntax(syntax) => syntax.into(),
    }
}

/// After the first row: makes room for as many more as the rest of the body can hold if they are like it.
fn reserve(reader: &Reader<'_>, columns: &mut [Column], start: usize) {
    let left = reader.bytes.len().saturating_sub(reader.position);
    let rows = left
        .checked_div(reader.position.saturating_sub(start))
        .unwrap_or(0);
    for column in columns {
        let more = column.data.len().saturating_mul(rows);
        column.data.reserve(more);
    }
}

impl Column {
    /// Takes one more row. `Ok(Some)`: the row is well formed, but not like the first.
    fn row(&mut self, reader: &mut Reader<'_>, shape: &mut Shape) -> Result<Option<Error>, Fail> {
        let before = self.data.len();
        // One dimension is that of the rows.
        value(reader, &mut self.data, MAX_RANK - 1, shape)?;
        let size = self.data.len() - before;
        self.rows += 1;
        let first = self.shape.get_or_insert_with(|| shape.dims().to_vec());
        // One by one: comparing no bytes at all, as for scalars, is what `memcmp` is slow at.
        if first.iter().eq(shape.dims()) {
            return Ok(None);
        }
        // The first row had that many elements: `before` counts rows of equal size.
        let expected = before.checked_div(self.rows - 1).unwrap_or(0);
        let text = if expected == size {
            let (first, shape) = (shape_text(first), shape_text(shape.dims()));
            format!("Expecting shape {first} but got: {shape}")
        } else {
            format!("Expecting tensor size: {expected} but got: {size}")
        };
        Ok(Some(Error::new(Kind::BadTensor, text)))
    }

    fn tensor(self, count: usize) -> Tensor {
        let dims = self.shape.into_iter().flatten();
        let shape = std::iter::once(count).chain(dims).collect();
        Tensor::new(shape, self.data).expect("every row was compared with the first")
    }
}
