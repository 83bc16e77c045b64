//! Loads signing keys from `base64://` and `file://` URLs.
//!
//! [`talos_credentials::token::SigningKeys`] parses and checks the keys while the settings are
//! loaded, so a bad key stops the start and not the first derivation. Of a key, messages repeat
//! only its `kid`.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use talos_credentials::token::SigningKeys;
use talos_model::Secret;

/// Adds the keys of one URL to `keys`. The URL is `base64://` with a JWK set (or one JWK) in
/// standard base64, or `file://` with the path of a file that contains it.
pub(crate) fn add_from_url(keys: &mut SigningKeys, url: &str) -> Result<(), String> {
    let document = document(url)?;
    keys.add(document.expose())
        .map_err(|problem| problem.to_string())
}

fn document(url: &str) -> Result<Secret, String> {
    let text = if let Some(encoded) = url.strip_prefix("base64://") {
        STANDARD
            .decode(encoded)
            .map_err(|_| "not standard base64".to_owned())?
    } else if let Some(path) = url.strip_prefix("file://") {
        fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?
    } else {
        return Err("neither a base64:// nor a file:// URL".to_owned());
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
        for url in urls {
            add_from_url(&mut keys, url)?;
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
            ("https://example.com/jwks.json".to_owned(), "neither"),
            ("data:x".to_owned(), "neither"),
        ] {
            let error = add(&[url]).expect_err(says);
            assert!(error.contains(says) && !error.contains(&private), "{error}");
        }
    }
}
