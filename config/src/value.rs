//! Values as JSON: as their source spells them, and in a form that is equal for equal meanings.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};
use talos_model::duration;

use crate::input::{ExpiringItem, Input};
use crate::kind::Kind;
use crate::{byte_size, data_directory, scalar};

/// The value as its source spells it. Numbers and booleans are numbers and booleans.
pub(crate) fn shown(kind: Kind, input: &Input) -> Value {
    match input {
        Input::One(text) => shown_scalar(kind, text),
        Input::Many(items) => items.iter().map(String::as_str).collect(),
        Input::Expiring(items) => items.iter().map(shown_item).collect(),
        Input::Mappings(items) => {
            let mapping = |fields: &mut dyn Iterator<Item = (&str, &str)>| {
                let fields = fields.map(|(name, text)| (name.to_owned(), Value::from(text)));
                Value::Object(fields.collect())
            };
            let items = items.iter();
            items.map(|item| mapping(&mut item.fields())).collect()
        }
    }
}

fn shown_scalar(kind: Kind, text: &str) -> Value {
    let number = || text.parse::<u64>().ok().map(Value::from);
    let typed = match kind {
        Kind::Integer { .. }
        | Kind::PowerOfTwo { .. }
        | Kind::Bytes { .. }
        | Kind::Duration { .. }
        | Kind::DurationOrNone { .. } => number(),
        Kind::Fraction { .. } => text
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number),
        Kind::Boolean { .. } | Kind::Fixed { .. } => text.parse::<bool>().ok().map(Value::Bool),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::from(text))
}

fn shown_item(item: &ExpiringItem) -> Value {
    let Some(expires_at) = &item.expires_at else {
        return Value::from(item.value.as_str());
    };
    let mut fields = Map::new();
    fields.insert("value".to_owned(), Value::from(item.value.as_str()));
    fields.insert("expires_at".to_owned(), Value::from(expires_at.as_str()));
    Value::Object(fields)
}

/// The value in a form that is equal for all spellings of one meaning, such as `5m` and `300s`.
pub(crate) fn compared(kind: Kind, input: &Input) -> Value {
    match input {
        Input::One(text) => compared_scalar(kind, text),
        Input::Many(items) => match kind {
            Kind::List { item, .. } => {
                let read = |text: &String| item(text).unwrap_or_else(|_| text.clone());
                items.iter().map(read).collect()
            }
            _ => items.iter().map(String::as_str).collect(),
        },
        Input::Expiring(items) => items
            .iter()
            .map(|item| {
                let instant = |text: &String| text.parse::<Timestamp>().ok();
                let instant = item.expires_at.as_ref().and_then(instant);
                shown_item(&ExpiringItem {
                    value: item.value.clone(),
                    expires_at: instant.map(|instant| instant.to_string()),
                })
            })
            .collect(),
        Input::Mappings(_) => shown(kind, input),
    }
}

fn compared_scalar(kind: Kind, text: &str) -> Value {
    let uniform = match kind {
        Kind::Duration { .. } => duration::parse(text).ok().map(duration::format_protobuf),
        Kind::DurationOrNone { .. } => {
            let length = scalar::duration_or_none(text).ok();
            length.map(|length| duration::format_protobuf(length.unwrap_or_default()))
        }
        Kind::Bytes { .. } => byte_size::parse(text).map(byte_size::format),
        Kind::Host { .. } => scalar::host(text).ok().map(|host| host.to_string()),
        Kind::DataDirectory { .. } => {
            let directory = data_directory::parse(text).ok();
            directory.map(|directory| directory.path.display().to_string())
        }
        Kind::OptionalText { .. } if text.is_empty() => return Value::Null,
        _ => None,
    };
    uniform.map_or_else(|| shown_scalar(kind, text), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    fn one(path: &str, text: &str) -> (Value, Value) {
        let kind = keys::find(path).expect("a key").kind;
        let input = Input::One(text.to_owned());
        (shown(kind, &input), compared(kind, &input))
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (path, left, right) in [
            ("cache.ttl", "5m", "300s"),
            ("cache.ttl", "0", "-5m"),
            ("serve.shutdown.delay", "0", "0s"),
            ("audit.rotate_size", "1 MiB", "1048576"),
            ("serve.http.host", "localhost", "127.0.0.1"),
            ("serve.http.port", "08", "8"),
            ("db.dsn", "sqlite://x", "rocksdb://x.rocksdb"),
            ("tracing.sample_rate", "0.5", "0.50"),
        ] {
            let (left, right) = (one(path, left), one(path, right));
            assert_eq!(left.1, right.1, "{path}");
        }
        assert_ne!(one("cache.ttl", "5m").1, one("cache.ttl", "6m").1);
        assert_eq!(
            one("tracing.endpoint", "").1,
            Value::Null,
            "an empty text is unset"
        );
    }

    #[test]
    fn values_have_types() {
        for (path, text, json) in [
            ("serve.http.port", "4420", "4420"),
            ("cache.memory.max_size", "104857600", "104857600"),
            ("cache.memory.max_size", "1 MiB", "\"1 MiB\""),
            ("tracing.sample_rate", "0.001", "0.001"),
            ("audit.required", "true", "true"),
            ("multitenancy.enabled", "false", "false"),
            ("credentials.api_keys.prefix.current", "007", "\"007\""),
        ] {
            assert_eq!(one(path, text).0.to_string(), json, "{path}");
        }
    }
}
