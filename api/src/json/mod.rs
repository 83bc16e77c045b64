//! Strict reading of request bodies after the JSON rules of proto3.
//!
//! A body is UTF-8, one JSON object, at most [`JSON_DEPTH`] levels deep, and no object has a name
//! twice. A body of white space alone is the empty object. Names that the table of the object does
//! not declare are skipped. `null` is an absent field. Strings without escapes are borrowed from
//! the body.
//!
//! [`JSON_DEPTH`]: crate::limits::JSON_DEPTH

mod body;
mod fields;
mod object;
mod value;

pub(crate) use body::{invalid, object_text, parse, parse_whole};
pub(crate) use fields::Fields;
pub(crate) use object::{Field, Kind, Object};
