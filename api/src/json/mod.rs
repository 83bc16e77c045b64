//! Strict reading of request bodies after the JSON rules of proto3.
//!
//! A body is UTF-8, one JSON object, at most [`JSON_DEPTH`] levels deep, and no object has a name
//! twice. A body of white space alone is the empty object. A name may be in `snake_case` or in
//! `lowerCamelCase`. Names that the table of the object does not declare are skipped, except those
//! that resemble a field that restricts: these are probably misspelt and are rejected. `null` is an
//! absent field. Strings without escapes are borrowed from the body.
//!
//! [`JSON_DEPTH`]: crate::limits::JSON_DEPTH

mod body;
mod fields;
mod integer;
pub(crate) mod misspelt;
mod object;
mod spelling;
mod value;

pub(crate) use body::{invalid, object_text, parse, parse_whole};
pub(crate) use fields::Fields;
pub(crate) use object::{EnumValue, Field, Kind, Object, Rule};
pub(crate) use spelling::{camel_case, is_camel_case_of};
