//! Reads what a message says beside its REST body.
//!
//! Pure. The members of the root are found without a look into the tensors (`ws::scan`); what is wrong with those is told
//! by the codec of REST. Bytes that are no JSON object are refused here, in the words of REST.

use std::ops::Range;

use crate::error::{Error, Kind};
use crate::json::Checks;
use crate::json::compact::compact;
use crate::json::read::{Reader, Syntax};
use crate::ws::scan::pass;
use crate::ws::{Asked, Call, Dialect, Form, MAX_ID, MAX_TIMEOUT_MS, Refused};

/// Bytes in front of the JSON of a binary message: its length.
const PREFIX: usize = 4;

/// Reads a message. The caller has refused binary ones on [`Dialect::Tfs`].
///
/// Errors are of kind `bad_json` and `bad_request`; they name the message's id as soon as it was found. Linear.
pub fn read(
    dialect: Dialect,
    form: Form,
    message: &[u8],
    checks: Checks,
) -> Result<Asked, Refused> {
    let nameless = |error| Refused { id: None, error };
    let (json, start) = match form {
        Form::Text => (message, 0),
        Form::Binary => (split(message).map_err(nameless)?, PREFIX),
    };
    let mut id = None;
    let members = Members::find(dialect, json, checks);
    let asked = members.and_then(|members| {
        if let Some(cancelled) = members.cancel()? {
            members.judge()?;
            return Ok(Asked::Cancel(cancelled));
        }
        let id = id.insert(members.id()?).clone();
        members.judge()?;
        Ok(Asked::Call(Call {
            id,
            method: members.method()?,
            timeout_ms: members.timeout_ms()?,
            json_length: (form == Form::Binary).then_some(json.len()),
            start,
            blanks: members.blanks,
        }))
    });
    asked.map_err(|error| Refused { id, error })
}

/// The JSON of a binary message.
fn split(message: &[u8]) -> Result<&[u8], Error> {
    let bad = |text| Error::new(Kind::BadRequest, text);
    let bytes = message.len();
    let Some((length, rest)) = message.split_first_chunk::<PREFIX>() else {
        let text = "is too short for the 4 bytes that tell the length of its JSON";
        return Err(bad(format!("Binary message of {bytes} bytes {text}")));
    };
    let length = u32::from_le_bytes(*length);
    let json = usize::try_from(length).ok().and_then(|at| rest.get(..at));
    json.ok_or_else(|| {
        bad(format!(
            "JSON length {length} exceeds the message ({bytes} bytes)"
        ))
    })
}

/// The members of the root that are not REST's.
struct Members<'a> {
    dialect: Dialect,
    checks: Checks,
    seen: [bool; NAMES.len()],
    /// In the order of [`NAMES`]: a cursor at each value that is there and not null.
    values: [Option<Reader<'a>>; NAMES.len()],
    /// What the codec of REST is not to see.
    blanks: Vec<Range<usize>>,
    /// What is wrong, but must not keep the id from being found.
    broken: Option<Error>,
}

const NAMES: [&str; 4] = ["id", "cancel", "method", "timeout_ms"];

impl<'a> Members<'a> {
    fn find(dialect: Dialect, json: &'a [u8], checks: Checks) -> Result<Self, Error> {
        let mut reader = Reader::new(json, checks)?;
        if checks == Checks::Lenient && dialect == Dialect::Tfs {
            reader.byte_order_mark();
        }
        let mut root = reader.clone();
        let mut members = Self {
            dialect,
            checks,
            seen: [false; NAMES.len()],
            values: [const { None }; NAMES.len()],
            blanks: Vec::new(),
            broken: None,
        };
        if reader.root()? == b'{' {
            if let Err(found) = members.object(&mut reader) {
                // Where exactly is told by the reader that looks at everything.
                members.broken = Some(root.skip().err().unwrap_or(found).into());
            }
            return Ok(members);
        }
        let start = reader.position;
        reader.skip()?;
        let shown = compact(json, start);
        let text = format!("JSON Value: {shown} Is not object");
        Err(Error::new(Kind::BadRequest, text))
    }

    fn object(&mut self, reader: &mut Reader<'a>) -> Result<(), Syntax> {
        // The last comma that stays: it goes too if only blanks follow.
        let mut comma = None;
        let mut key = String::new();
        let mut more = reader.open(b'}');
        while more {
            reader.next_token();
            let start = reader.position;
            reader.name(&mut key)?;
            let null = reader.next_token() == Some(b'n');
            let value = reader.clone();
            pass(reader)?;
            let index = NAMES.iter().position(|name| *name == key);
            if let Some(index) = index {
                self.found(index, (!null).then_some(value));
            }
            reader.next_token();
            let end = reader.position;
            more = reader.next_member()?;
            if index.is_none() || self.dialect == Dialect::Oip {
                comma = more.then_some(end);
                continue;
            }
            let end = if more { reader.position } else { end };
            self.blanks.push(start..end);
            if let (false, Some(comma)) = (more, comma) {
                self.blanks.push(comma..comma + 1);
            }
        }
        Ok(())
    }

    /// A member of ours. As in REST, `/v1` takes the first of its name unless its checks are strict.
    fn found(&mut self, index: usize, value: Option<Reader<'a>>) {
        let places = self.seen.get_mut(index).zip(self.values.get_mut(index));
        let Some((seen, place)) = places else {
            return;
        };
        if !std::mem::replace(seen, true) {
            *place = value;
        } else if self.dialect == Dialect::Oip || self.checks == Checks::Strict {
            let name = NAMES.get(index).copied().unwrap_or_default();
            let text = format!("Duplicate key: {name}");
            self.broken
                .get_or_insert(Error::new(Kind::BadRequest, text));
        }
    }

    fn cancel(&self) -> Result<Option<String>, Error> {
        let [_, Some(cancel), _, _] = &self.values else {
            return Ok(None);
        };
        name("cancel", cancel.clone()).map(Some)
    }

    fn id(&self) -> Result<String, Error> {
        let [id, ..] = &self.values;
        match (id, &self.broken) {
            (Some(id), _) => name("id", id.clone()),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(Error::new(Kind::BadRequest, "Missing \"id\"")),
        }
    }

    fn judge(&self) -> Result<(), Error> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn method(&self) -> Result<&'static str, Error> {
        // `/v2` knows no such member: it is passed over there, as any unknown one.
        if self.dialect == Dialect::Oip {
            return Ok("infer");
        }
        let [_, _, method, _] = &self.values;
        let Some(method) = method else {
            return Ok("predict");
        };
        match text(method.clone())?.as_deref() {
            Some("predict") => Ok("predict"),
            Some("classify") => Ok("classify"),
            Some("regress") => Ok("regress"),
            _ => {
                let text = "\"method\" must be \"predict\", \"classify\" or \"regress\"";
                Err(Error::new(Kind::BadRequest, text))
            }
        }
    }

    fn timeout_ms(&self) -> Result<Option<u64>, Error> {
        let [.., timeout] = &self.values;
        let Some(mut timeout) = timeout.clone() else {
            return Ok(None);
        };
        let number = match timeout.peek() {
            Some(b'0'..=b'9') => timeout.number()?.integer::<u64>(),
            _ => None,
        };
        let range = 1..=MAX_TIMEOUT_MS;
        number
            .filter(|ms| range.contains(ms))
            .map(Some)
            .ok_or_else(|| {
                let text = format!("\"timeout_ms\" must be an integer from 1 to {MAX_TIMEOUT_MS}");
                Error::new(Kind::BadRequest, text)
            })
    }
}

/// The id at the cursor.
fn name(key: &str, reader: Reader<'_>) -> Result<String, Error> {
    let id = text(reader)?.filter(|id| (1..=MAX_ID).contains(&id.len()));
    id.ok_or_else(|| {
        let text = format!("\"{key}\" must be a string of 1 to {MAX_ID} bytes");
        Error::new(Kind::BadRequest, text)
    })
}

/// The string at the cursor, if there is one.
fn text(mut reader: Reader<'_>) -> Result<Option<String>, Error> {
    if reader.peek() != Some(b'"') {
        return Ok(None);
    }
    let mut text = String::new();
    reader.string(|part| text.push_str(part))?;
    Ok(Some(text))
}
