//! Loads signing keys from `base64://`, `file://` and `https://` URLs.
//!
//! [`talos_credentials::token::SigningKeys`] parses and checks the keys before the server starts,
//! so a bad key stops the start and not the first derivation. Of a key, messages repeat only its
//! `kid`. This crate makes no connections: the caller of [`KeySets::load`] does.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use talos_credentials::token::SigningKeys;
use talos_model::Secret;

const HTTPS: &str = "https://";
const FILE: &str = "file://";

/// Where signing keys come from, in the configured order.
#[derive(Clone, Debug, Default)]
pub struct KeySets(Vec<KeySet>);

#[derive(Clone, Debug)]
enum KeySet {
    /// A JWK set that has been read, and the file it was read from.
    Document(Secret, Option<PathBuf>),
    /// The `https://` URL of a JWK set. It may hold a secret, in its query for instance.
    Remote(Secret),
}

impl KeySets {
    /// Adds one URL: `base64://` with a JWK set (or one JWK) in standard base64, `file://` with the
    /// path of a file that contains it, or `https://`. The keys of the first two are added to `keys`,
    /// too.
    pub(crate) fn add(&mut self, url: &str, keys: &mut SigningKeys) -> Result<(), String> {
        if let Some(rest) = url.strip_prefix(HTTPS) {
            check_remote(rest)?;
            self.0.push(KeySet::Remote(Secret::new(url.to_owned())));
            return Ok(());
        }
        let document = document(url)?;
        add_document(keys, &document)?;
        let file = url.strip_prefix(FILE).map(PathBuf::from);
        self.0.push(KeySet::Document(document, file));
        Ok(())
    }

    /// All keys. `fetch` gets the URL of each set that is elsewhere, and returns its document.
    ///
    /// # Errors
    /// The first set that cannot be fetched or used: its index, and what is wrong.
    pub(crate) fn load(
        &self,
        mut fetch: impl FnMut(&str) -> Result<Secret, String>,
    ) -> Result<SigningKeys, String> {
        let mut keys = SigningKeys::default();
        for (item, set) in self.0.iter().enumerate() {
            let added = match set {
                KeySet::Document(document, _) => add_document(&mut keys, document),
                KeySet::Remote(url) => fetch(url.expose())
                    .and_then(|document| add_document(&mut keys, &document))
                    .map_err(|problem| format!("{}: {problem}", origin(url.expose()))),
            };
            added.map_err(|problem| format!("item {item}: {problem}"))?;
        }
        Ok(keys)
    }

    /// The files that sets were read from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter_map(|set| match set {
            KeySet::Document(_, file) => file.as_ref(),
            KeySet::Remote(_) => None,
        })
    }

    /// The sets that have been read.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter().filter_map(|set| match set {
            KeySet::Document(document, _) => Some(document),
            KeySet::Remote(_) => None,
        })
    }

    /// Whether some keys must be fetched.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        self.0.iter().any(|set| matches!(set, KeySet::Remote(_)))
    }
}

/// Checks what follows `https://`.
fn check_remote(rest: &str) -> Result<(), String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') {
        return Err("the URL names no host".to_owned());
    }
    if authority.contains('@') {
        return Err("the URL holds a user name or a password, which are not sent".to_owned());
    }
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("the URL holds a blank or a control character".to_owned());
    }
    Ok(())
}

/// The part of a URL that messages may show: scheme, host and port.
fn origin(url: &str) -> &str {
    let path = url.get(HTTPS.len()..).unwrap_or_default();
    let end = path.find(['/', '?', '#']).unwrap_or(path.len());
    url.get(..HTTPS.len() + end).unwrap_or_default()
}

fn add_document(keys: &mut SigningKeys, document: &Secret) -> Result<(), String> {
    let added = keys.add(document.expose());
    added.map_err(|problem| problem.to_string())
}

fn document(url: &str) -> Result<Secret, String> {
    let text = if let Some(encoded) = url.strip_prefix("base64://") {
        STANDARD
            .decode(encoded)
            .map_err(|_| "not standard base64".to_owned())?
    } else if let Some(path) = url.strip_prefix(FILE) {
        fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?
    } else {
        return Err("neither a base64://, a file:// nor an https:// URL".to_owned());
    };
    // The error would contain the text, and with it the private key.
    String::from_utf8(text)
        .map(Secret::new)
        .map_err(|_| "not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    fn jwk(seed: u8, kid: &str) -> Value {
        let private = [seed; 32];
        let public = ed25519_dalek::SigningKey::from_bytes(&private).verifying_key();
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": kid,
            "d": URL_SAFE_NO_PAD.encode(private), "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
        })
    }

    fn url(document: &Value) -> String {
        format!("base64://{}", STANDARD.encode(document.to_string()))
    }

    fn add(urls: &[String]) -> Result<SigningKeys, String> {
        let mut keys = SigningKeys::default();
        let mut sets = KeySets::default();
        for url in urls {
            sets.add(url, &mut keys)?;
        }
        Ok(keys)
    }

    fn kids(keys: &SigningKeys) -> Vec<String> {
        let set = keys.public_set();
        let kids = set["keys"].as_array().expect("keys").iter();
        kids.map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect()
    }

    #[test]
    fn urls_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        fs::write(&path, json!({"keys": [jwk(3, "c")]}).to_string()).expect("a file");
        let keys = add(&[
            url(&json!({"keys": [jwk(1, "a"), jwk(2, "b")]})),
            format!("file://{}", path.display()),
            url(&jwk(4, "d")),
        ]);
        assert_eq!(kids(&keys.expect("four keys")), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_kid_is_there_once_in_all_urls_together() {
        let error = add(&[url(&jwk(1, "a")), url(&jwk(2, "a"))]).expect_err("twice");
        assert!(error.contains("\"a\" is there twice"), "{error}");
    }

    #[test]
    fn a_set_without_keys_is_a_set() {
        let keys = add(&[url(&json!({"keys": []}))]).expect("no keys");
        assert!(kids(&keys).is_empty());
        let empty = "base64://eyJrZXlzIjpbXX0=".to_owned();
        let keys = add(&[empty, url(&jwk(1, "a"))]).expect("one key");
        assert_eq!(kids(&keys), ["a"]);
    }

    #[test]
    fn bad_documents_are_refused_without_showing_them() {
        let mut bad = jwk(9, "k");
        let private = bad["d"].as_str().expect("text").to_owned();
        bad["x"] = jwk(8, "k")["x"].clone();
        for (url, says) in [
            (url(&bad), "key 0 of the set: its x is not the public key"),
            (
                format!("base64://{}", STANDARD.encode(&private)),
                "not a JSON Web Key Set",
            ),
            (
                format!("base64://{}", STANDARD.encode(b"{\"\xff")),
                "not UTF-8",
            ),
            ("base64://***".to_owned(), "base64"),
            ("base64://aGk".to_owned(), "base64"),
            ("file:///nonexistent/x".to_owned(), "/nonexistent/x"),
            ("http://example.com/jwks.json".to_owned(), "neither"),
            ("https://".to_owned(), "no host"),
            ("https:///jwks.json".to_owned(), "no host"),
            ("https://user:pw@example.com/".to_owned(), "password"),
            ("https://example.com/a b".to_owned(), "blank"),
            ("data:x".to_owned(), "neither"),
        ] {
            let error = add(&[url]).expect_err(says);
            assert!(error.contains(says) && !error.contains(&private), "{error}");
        }
    }
}
