//! Hides what must not be shown: secrets, and passwords within URLs.

use serde_json::Value;

use crate::key::{Key, Sensitivity};
use crate::kind::Kind;

/// What is shown in the place of every secret, whatever its length. It is too short to be accepted
/// as a secret.
pub const MASK: &str = "********";

/// `value` of `key` as it may be shown.
pub(crate) fn masked(key: &Key, value: Value) -> Value {
    match (key.sensitivity, key.kind) {
        (Sensitivity::Public, _) | (_, Kind::DataDirectory { .. }) => each_text(value, &url),
        (Sensitivity::Secret, Kind::SigningKeys { .. }) => each_text(value, &location),
        (Sensitivity::Secret, _) => each_text(value, &|_| MASK.to_owned()),
    }
}

/// Replaces every text in `value`. The time at which an item expires stays.
fn each_text(value: Value, replace: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(replace(&text)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| each_text(item, replace))
            .collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = if name == "expires_at" {
                    value
                } else {
                    each_text(value, replace)
                };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// A URL without its password and without the values of its query. Other texts stay, unless they
/// look like `USER:PASSWORD@HOST`.
fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.rsplit_once('@') {
            Some((user, host)) if user.contains(':') => format!("{}@{host}", masked_user(user)),
            _ => text.to_owned(),
        };
    };
    let (place, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let query = masked_query(query);
    if place.starts_with(['/', '.']) {
        return format!("{scheme}://{place}{query}");
    }
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if after.contains('@') {
        // It may be the end of a password with one of these characters.
        return format!("{scheme}://{MASK}");
    }
    match place.rsplit_once('@') {
        Some((user, host)) if authority.contains('@') => {
            format!("{scheme}://{}@{host}{query}", masked_user(user))
        }
        _ => format!("{scheme}://{place}{query}"),
    }
}

/// The name of a user without the password. Without a name, all of it may be a password.
fn masked_user(user: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}"),
        None => MASK.to_owned(),
    }
}

/// A query with its names, but without its values; a fragment without its text.
fn masked_query(query: &str) -> String {
    let Some(pairs) = query.strip_prefix('?') else {
        return query
            .chars()
            .next()
            .map_or_else(String::new, |mark| format!("{mark}{MASK}"));
    };
    let pairs = pairs.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    });
    format!("?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// Where signing keys come from: the path of a file, or the server of a set. The keys themselves,
/// and what the path of a URL may give away, are hidden.
fn location(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return MASK.to_owned();
    };
    match scheme {
        "file" => text.to_owned(),
        "https" => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("https://{host}/{MASK}")
        }
        _ => format!("{scheme}://{MASK}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys;

    fn shown(path: &str, value: Value) -> Value {
        masked(keys::find(path).expect("a key"), value)
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let short = shown("secrets.hmac.current", json!("hunter2"));
        let long = shown("secrets.hmac.current", json!("hunter2".repeat(20)));
        assert_eq!((&short, &long), (&json!(MASK), &json!(MASK)));
        assert_eq!(
            shown(
                "secrets.hmac.retired",
                json!(["hunter2", {"value": "hunter3", "expires_at": "2027-01-31T00:00:00Z"}]),
            ),
            json!([MASK, {"value": MASK, "expires_at": "2027-01-31T00:00:00Z"}])
        );
        let urls = "credentials.derived_tokens.jwt.signing_keys.urls";
        assert_eq!(
            shown(
                urls,
                json!([
                    "base64://aHVudGVyMg==",
                    "file:///etc/talos/keys.json",
                    "https://hunter2@vault.internal:8200/hunter2/keys?token=hunter2",
                    "hunter2",
                ]),
            ),
            json!([
                "base64://********",
                "file:///etc/talos/keys.json",
                "https://vault.internal:8200/********",
                MASK,
            ])
        );
    }

    #[test]
    fn urls_are_shown_without_their_passwords() {
        for (text, wanted) in [
            ("rocksdb://./talos-data", "rocksdb://./talos-data"),
            ("rocksdb:///srv/a@b:c", "rocksdb:///srv/a@b:c"),
            (
                "postgres://talos:hunter2@db/keys",
                "postgres://talos:********@db/keys",
            ),
            (
                "postgres://talos:hunter@2@db/keys?x=1",
                "postgres://talos:********@db/keys?x=********",
            ),
            ("postgres://talos:hun/ter2@db/keys", "postgres://********"),
            ("postgres://talos:hun?ter2@db/keys?x", "postgres://********"),
            (
                "postgres://db/keys?password=hunter2&x",
                "postgres://db/keys?password=********&********",
            ),
            ("https://hunter2@db", "https://********@db"),
            (
                "https://keys.example.com/#hunter2",
                "https://keys.example.com/#********",
            ),
            (
                "talos:hunter2@collector:4317",
                "talos:********@collector:4317",
            ),
            ("collector:4317", "collector:4317"),
            ("deploy@example.com", "deploy@example.com"),
            ("a?b=c", "a?b=c"),
        ] {
            let shown = shown("tracing.endpoint", json!(text));
            assert_eq!(shown, json!(wanted), "{text}");
        }
    }
}
