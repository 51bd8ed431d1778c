//! Finds the known members of a JSON object.
//!
//! Pure. Used by the parser of infer requests, where members may come in any order: the syntax is checked once in passing,
//! then the members are read in the order of the checks.

use crate::error::{Error, Kind, cut};
use crate::json::read::{Fail, Reader, Syntax};

/// The members of the object at the cursor, which is passed over: for each of `known` a cursor at its value, unless the
/// member is absent or null. Unknown members are passed over; a known one that occurs twice is an error. The syntax has
/// been checked: nothing of it is looked at again.
pub(super) fn fields<'a, const N: usize>(
    reader: &mut Reader<'a>,
    known: [&str; N],
) -> Result<[Option<Reader<'a>>; N], Fail> {
    let pass = |reader: &mut Reader<'a>| {
        reader.pass();
        Ok(())
    };
    Ok(members(reader, known, pass)??)
}

/// [`fields`] of an object whose syntax is not checked yet, with what is wrong with the members apart from it: the root's
/// syntax error may still come behind.
pub(super) fn unjudged<'a, const N: usize>(
    reader: &mut Reader<'a>,
    known: [&str; N],
) -> Result<Result<[Option<Reader<'a>>; N], Error>, Syntax> {
    members(reader, known, Reader::skip)
}

fn members<'a, const N: usize>(
    reader: &mut Reader<'a>,
    known: [&str; N],
    pass: impl Fn(&mut Reader<'a>) -> Result<(), Syntax>,
) -> Result<Result<[Option<Reader<'a>>; N], Error>, Syntax> {
    let mut found = [const { None }; N];
    let mut seen = [false; N];
    let mut duplicate = None;
    let mut key = String::new();
    let mut more = reader.open(b'}');
    while more {
        reader.name(&mut key)?;
        let null = reader.next_token() == Some(b'n');
        let index = known.iter().position(|name| *name == key);
        let slots = index.and_then(|index| Some((found.get_mut(index)?, seen.get_mut(index)?)));
        if let Some((slot, seen)) = slots {
            if std::mem::replace(seen, true) {
                let text = format!("Duplicate key: {}", cut(&key));
                duplicate.get_or_insert_with(|| Error::new(Kind::BadRequest, text));
            } else if !null {
                *slot = Some(reader.clone());
            }
        }
        pass(reader)?;
        more = reader.next_member()?;
    }
    Ok(match duplicate {
        None => Ok(found),
        Some(error) => Err(error),
    })
}

/// The string at the cursor; `None` if there is something else or it has more than `limit` bytes.
pub(super) fn text(reader: &mut Reader<'_>, limit: usize) -> Result<Option<String>, Fail> {
    if reader.next_token() != Some(b'"') {
        return Ok(None);
    }
    let mut text = String::new();
    reader.string(|part| text.push_str(part))?;
    Ok((text.len() <= limit).then_some(text))
}

/// The non-negative integer at the cursor, which is passed over; `None` if there is something else.
pub(super) fn count<T: TryFrom<i128>>(reader: &mut Reader<'_>) -> Result<Option<T>, Fail> {
    match reader.next_token() {
        Some(b'0'..=b'9') => Ok(reader.number()?.integer()),
        _ => {
            reader.skip()?;
            Ok(None)
        }
    }
}
