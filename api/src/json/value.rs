//! One JSON value, and how it is read and written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

use super::misspelt;
use super::object::{Field, Object};

/// One JSON value. Objects keep the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// The kind of the value, for messages. They never repeat a value, which may be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// A name that resembles a restricting field: the field, and what to write instead.
pub(super) type Misspelt = (Field, &'static str);

/// The fields of an object, and the first misspelt name.
#[derive(Default)]
pub(super) struct Known<'a> {
    pub(super) entries: Vec<(Cow<'a, str>, Json<'a>)>,
    pub(super) misspelt: Option<Misspelt>,
}

/// Reads the top object: keeps the known names with their values and skips the others.
pub(super) struct KnownFields(pub(super) &'static Object);

impl<'de> DeserializeSeed<'de> for KnownFields {
    type Value = Known<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KnownFields {
    type Value = Known<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = Known {
            entries: Vec::with_capacity(self.0.fields.len()),
            misspelt: None,
        };
        while let Some(Name(name)) = map.next_key()? {
            if let Some(field) = self.0.field(&name) {
                known
                    .entries
                    .push((Cow::Borrowed(field.name), map.next_value()?));
                refuse_last_if_repeated(&known.entries)?;
            } else {
                known.misspelt = known.misspelt.or_else(|| misspelt::meant(self.0, &name));
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(known)
    }
}

/// The fields of an object within the body. `None` when a field occurs in both spellings.
pub(super) fn known<'a>(
    object: &'static Object,
    mut entries: Vec<(Cow<'a, str>, Json<'a>)>,
) -> Option<Known<'a>> {
    let mut misspelt = None;
    for (name, _) in &mut entries {
        match object.field(name) {
            Some(field) => *name = Cow::Borrowed(field.name),
            None => misspelt = misspelt.or_else(|| misspelt::meant(object, name)),
        }
    }
    is_spelt_once(object, &entries).then_some(Known { entries, misspelt })
}

/// Whether no field occurs in both of its spellings.
pub(super) fn is_spelt_once(object: &Object, entries: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    let is_once = |field: &Field| {
        let names = entries.iter().map(|(name, _)| name);
        names.filter(|name| field.is_named(name)).count() < 2
    };
    object.fields.iter().all(is_once)
}

/// Compares the last name with all others. Only the few known names come here.
fn refuse_last_if_repeated<E: serde::de::Error>(
    entries: &[(Cow<'_, str>, Json<'_>)],
) -> Result<(), E> {
    match entries.split_last() {
        Some(((last, _), before)) if before.iter().any(|(name, _)| name == last) => Err(E::custom(
            format_args!("{last} occurs twice in one object, maybe in both of its spellings"),
        )),
        _ => Ok(()),
    }
}

fn repeated<E: serde::de::Error>() -> E {
    E::custom("a name occurs twice in one object")
}

/// A name, borrowed when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a name is not a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        let mut names: Vec<&str> = entries
            .iter()
            .map(|(name, _): &(Cow<'_, str>, _)| &**name)
            .collect();
        names.sort_unstable();
        if names
            .windows(2)
            .any(|pair| matches!(pair, [one, next] if one == next))
        {
            return Err(repeated());
        }
        Ok(Json::Object(entries))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| sequence.serialize_element(item))?;
                sequence.end()
            }
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
