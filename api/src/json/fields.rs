//! The fields of one object, read by name and type.

use std::borrow::Cow;

use super::integer;
use super::object::{FREE, Field, Kind, Object};
use super::value::{Json, Known, Misspelt, known};
use crate::error::ApiError;
use crate::names::{Enumeration, UnknownValue};
use crate::render;

/// The fields of one object. Each reader takes its field out.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    /// The prefix of a field's name in messages: empty at the top, else a path with a final dot.
    path: String,
    /// The fields that may be read.
    object: &'static Object,
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
    misspelt: Option<Misspelt>,
}

impl<'a> Fields<'a> {
    /// The fields of an empty body.
    pub(super) fn empty(object: &'static Object) -> Self {
        Self::of_known(String::new(), object, Known::default())
    }

    /// The fields of the object at `path`.
    pub(super) fn of_known(path: String, object: &'static Object, known: Known<'a>) -> Self {
        Self {
            path,
            object,
            entries: known.entries,
            misspelt: known.misspelt,
        }
    }

    /// The fields of an object within the body.
    fn within(
        path: String,
        object: &'static Object,
        entries: Vec<(Cow<'a, str>, Json<'a>)>,
    ) -> Result<Self, ApiError> {
        match known(object, entries) {
            Some(known) => Ok(Self::of_known(path, object, known)),
            None => Err(ApiError::invalid_field(
                path.trim_end_matches('.'),
                "has a field in both of its spellings; use one of them",
            )),
        }
    }

    /// Rejects an object with a name that resembles a restricting field.
    ///
    /// # Errors
    /// 400 with a suggestion. The name is not repeated; it may be anything.
    pub(crate) fn refuse_misspelt(&self) -> Result<(), ApiError> {
        let Some((field, meant)) = self.misspelt else {
            return Ok(());
        };
        let message = format!(
            "the body has an unknown field of a similar name, which would restrict nothing; did you mean {}{meant}?",
            self.path
        );
        Err(self.invalid(field, &message))
    }

    /// The path of a field in the body, such as `rate_limit_policy.quota`.
    pub(crate) fn path_of(&self, field: Field) -> String {
        format!("{}{}", self.path, field.name)
    }

    fn path_of_entry(&self, field: Field, index: usize) -> String {
        format!("{}{}[{index}]", self.path, field.name)
    }

    /// The error for a field whose value is not allowed.
    pub(crate) fn invalid(&self, field: Field, message: &str) -> ApiError {
        ApiError::invalid_field(&self.path_of(field), message)
    }

    /// The error for one entry of a list.
    pub(crate) fn invalid_entry(&self, field: Field, index: usize, message: &str) -> ApiError {
        ApiError::invalid_field(&self.path_of_entry(field, index), message)
    }

    fn value(&self, field: Field) -> Option<&Json<'a>> {
        let mut entries = self.entries.iter();
        let (_, value) = entries.find(|(name, _)| name == field.name)?;
        Some(value).filter(|value| **value != Json::Null)
    }

    /// Whether the field is there and `null`.
    pub(crate) fn is_null(&self, field: Field) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(name, value)| name == field.name && *value == Json::Null)
    }

    /// Whether the field is there and not `null`.
    pub(crate) fn is_present(&self, field: Field) -> bool {
        self.value(field).is_some()
    }

    /// Whether the field has a value that proto3 tells from an absent field. It does so for an
    /// empty object, but not for an empty string or list.
    pub(crate) fn has_value(&self, field: Field) -> bool {
        self.value(field).is_some_and(|value| match value {
            Json::Text(text) => !text.is_empty(),
            Json::Array(items) => !items.is_empty(),
            _ => true,
        })
    }

    /// Takes a field out. A field that the table of the object does not declare, or declares as
    /// another kind, is absent: the readers see only what the `OpenAPI` document says.
    fn take(&mut self, field: Field, is_wanted: fn(Kind) -> bool) -> Option<Json<'a>> {
        self.object
            .kind(field.name)
            .filter(|kind| is_wanted(*kind))?;
        let mut entries = self.entries.iter();
        let index = entries.position(|(name, _)| name == field.name)?;
        Some(self.entries.swap_remove(index).1).filter(|value| *value != Json::Null)
    }

    /// A string; `None` when the field is absent or `null`.
    pub(crate) fn text(&mut self, field: Field) -> Result<Option<Cow<'a, str>>, ApiError> {
        let value = self.take(field, |kind| matches!(kind, Kind::Text(_)));
        self.as_text(field, value)
    }

    fn as_text(
        &self,
        field: Field,
        value: Option<Json<'a>>,
    ) -> Result<Option<Cow<'a, str>>, ApiError> {
        match value {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.invalid(field, &wrong_type("a string", &other))),
        }
    }

    /// A list of strings; an absent field and `null` are the empty list.
    pub(crate) fn texts(&mut self, field: Field) -> Result<Vec<Cow<'a, str>>, ApiError> {
        let items = match self.take(field, |kind| matches!(kind, Kind::Texts { .. })) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => {
                return Err(self.invalid(field, &wrong_type("an array of strings", &other)));
            }
        };
        let text = |(index, item)| match item {
            Json::Text(text) => Ok(text),
            other => Err(self.invalid_entry(field, index, &wrong_type("a string", &other))),
        };
        items.into_iter().enumerate().map(text).collect()
    }

    /// An object; `None` when the field is absent or `null`.
    pub(crate) fn object(&mut self, field: Field) -> Result<Option<Fields<'a>>, ApiError> {
        let object = match self.object.kind(field.name) {
            Some(Kind::Object(object)) => object,
            _ => &FREE,
        };
        let is_object = |kind| matches!(kind, Kind::Object(_) | Kind::FreeObject);
        match self.take(field, is_object) {
            None => Ok(None),
            Some(Json::Object(entries)) => {
                let path = format!("{}.", self.path_of(field));
                let fields = Fields::within(path, object, entries)?;
                fields.refuse_misspelt()?;
                Ok(Some(fields))
            }
            Some(other) => Err(self.invalid(field, &wrong_type("an object", &other))),
        }
    }

    /// A list of objects; an absent field and `null` are the empty list. Each object is accepted or
    /// rejected for itself, so the caller calls [`Fields::refuse_misspelt`] on it.
    pub(crate) fn objects(&mut self, field: Field) -> Result<Vec<Fields<'a>>, ApiError> {
        let Some(Kind::Objects { of, .. }) = self.object.kind(field.name) else {
            return Ok(Vec::new());
        };
        let items = match self.take(field, |kind| matches!(kind, Kind::Objects { .. })) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => {
                return Err(self.invalid(field, &wrong_type("an array of objects", &other)));
            }
        };
        let object = |(index, item)| match item {
            Json::Object(entries) => {
                let path = format!("{}.", self.path_of_entry(field, index));
                Fields::within(path, of, entries)
            }
            other => Err(self.invalid_entry(field, index, &wrong_type("an object", &other))),
        };
        items.into_iter().enumerate().map(object).collect()
    }

    /// A 64-bit integer, written as a number or as a string with a number; `None` when the field is
    /// absent or `null`.
    pub(crate) fn int64(&mut self, field: Field) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(field, |kind| matches!(kind, Kind::Int64)) else {
            return Ok(None);
        };
        let integer = match &value {
            Json::Number(number) => integer::of_number(number),
            Json::Text(text) => integer::of_text(text),
            _ => {
                let wanted = "an integer, as a number or a string";
                return Err(self.invalid(field, &wrong_type(wanted, &value)));
            }
        };
        let message = "must be a 64-bit integer, as a number or a string with a number";
        integer
            .map(Some)
            .ok_or_else(|| self.invalid(field, message))
    }

    /// `true` or `false`; `None` when the field is absent or `null`.
    pub(crate) fn boolean(&mut self, field: Field) -> Result<Option<bool>, ApiError> {
        match self.take(field, |kind| matches!(kind, Kind::Boolean)) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.invalid(field, &wrong_type("true or false", &other))),
        }
    }

    /// The value that the field names in full or by its number; `None` when the field is absent,
    /// `null`, or has the name or number of an unset value.
    pub(crate) fn enumeration<E: Enumeration>(
        &mut self,
        field: Field,
    ) -> Result<Option<E::Value>, ApiError> {
        let value = self.take(field, |kind| matches!(kind, Kind::Enumeration(_)));
        let found = match &value {
            None => return Ok(None),
            Some(Json::Text(text)) => E::by_name(text),
            Some(Json::Number(number)) => integer::of_number(number)
                .ok_or(UnknownValue)
                .and_then(E::by_number),
            Some(other) => {
                return Err(self.invalid(field, &wrong_type("a string", other)));
            }
        };
        found.map_err(|UnknownValue| {
            let message = format!("must be one of {}", E::names().join(", "));
            self.invalid(field, &message)
        })
    }

    /// All members of an object whose fields the client chooses; each must be a string.
    pub(crate) fn into_texts(self) -> Result<Vec<(String, String)>, ApiError> {
        let text = |(name, value): &(Cow<'a, str>, Json<'a>)| match value {
            Json::Text(text) => Ok((name.to_string(), text.to_string())),
            other => {
                let path = format!("{}{name}", self.path);
                let error = ApiError::invalid_field(&path, &wrong_type("a string", other));
                // The client chooses the name, which may be anything.
                Err(error.at_field(self.path.trim_end_matches('.')))
            }
        };
        self.entries.iter().map(text).collect()
    }

    /// The object as compact JSON; empty when it has no field.
    pub(crate) fn into_json(self) -> String {
        if self.entries.is_empty() {
            return String::new();
        }
        // Every value was read from UTF-8, so the JSON is UTF-8, too.
        String::from_utf8(render::json(&Json::Object(self.entries))).unwrap_or_default()
    }
}

/// A message about a value of the wrong type. It does not repeat the value, which may be a secret.
fn wrong_type(wanted: &str, found: &Json<'_>) -> String {
    format!("must be {wanted}, not {}", found.kind())
}

#[cfg(test)]
mod tests;
