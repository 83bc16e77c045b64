//! Reading a body as a whole: its encoding, its depth, and the object in it.

use std::collections::BTreeMap;

use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::object::Object;
use super::value::KnownFields;
use crate::error::ApiError;
use crate::limits;

/// Reads a body. Only the fields of `object` are kept.
///
/// # Errors
/// 400 when the body breaks one of the rules of [`json`](crate::json).
pub(crate) fn parse<'a>(body: &'a [u8], object: &'static Object) -> Result<Fields<'a>, ApiError> {
    let Some(text) = object_text(body)? else {
        return Ok(Fields::empty(object));
    };
    let fields = read(text, object)?;
    fields.refuse_misspelt()?;
    Ok(fields)
}

fn read<'a>(text: &'a str, object: &'static Object) -> Result<Fields<'a>, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let known = KnownFields(object)
        .deserialize(&mut deserializer)
        .and_then(|known| deserializer.end().map(|()| known))
        .map_err(|error| invalid(&error))?;
    Ok(Fields::of_known(String::new(), object, known))
}

/// Reads a body like [`parse`], but rejects fields that `object` does not declare.
///
/// # Errors
/// 400 as for [`parse`], and when there is an unknown field; the message then names the known ones.
pub(crate) fn parse_whole<'a>(
    body: &'a [u8],
    object: &'static Object,
) -> Result<Fields<'a>, ApiError> {
    let Some(text) = object_text(body)? else {
        return Ok(Fields::empty(object));
    };
    let fields = read(text, object)?;
    fields.refuse_misspelt()?;
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| invalid(&error))?;
    if members.keys().any(|name| object.kind(name).is_none()) {
        let known: Vec<_> = object.fields.iter().map(|field| field.name).collect();
        let message = format!(
            "the body has a field that is not known here; there are {}",
            known.join(", ")
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(fields)
}

/// The error for a body that is not valid JSON.
pub(crate) fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("the body is not valid JSON: {error}"))
}

/// The text of a body that begins like an object and is not nested too deep. `None` when the body
/// is white space alone.
///
/// # Errors
/// 400 when the body is not UTF-8, not an object, or nested too deep.
pub(crate) fn object_text(body: &[u8]) -> Result<Option<&str>, ApiError> {
    let text =
        std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    match text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .chars()
        .next()
    {
        None => return Ok(None),
        Some('{') => {}
        Some(_) => return Err(ApiError::bad_request("the body must be a JSON object")),
    }
    if depth_exceeds(text, limits::JSON_DEPTH) {
        let message = format!(
            "the body is nested deeper than {} levels",
            limits::JSON_DEPTH
        );
        return Err(ApiError::bad_request(message).limit(limits::JSON_DEPTH));
    }
    Ok(Some(text))
}

/// Whether objects and arrays in `text` nest deeper than `limit`. Brackets within strings do not
/// count.
fn depth_exceeds(text: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
