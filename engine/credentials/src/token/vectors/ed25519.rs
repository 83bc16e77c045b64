//! Ed25519 vectors of Wycheproof, and the edge cases of CCTV, with keys parsed as JWKs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::token::SigningKeys;
use crate::token::vectors::{hex, items, read};

fn verifies(point: &Value, message: &[u8], signature: &[u8]) -> bool {
    let x = URL_SAFE_NO_PAD.encode(hex(point));
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}).to_string();
    let Ok(keys) = SigningKeys::from_jwk_sets([jwk.as_str()]) else {
        return false;
    };
    let key = keys.verifying_key("k").unwrap();
    key.key.verifies(message, signature)
}

#[test]
fn wycheproof() {
    let file = read(include_str!("wycheproof/ed25519_test.json"));
    let mut accepted = 0;
    for group in items(&file["testGroups"]) {
        for test in items(&group["tests"]) {
            let point = &group["publicKey"]["pk"];
            let verified = verifies(point, &hex(&test["msg"]), &hex(&test["sig"]));
            assert_eq!(verified, test["result"] == "valid", "{test}");
            accepted += usize::from(verified);
        }
    }
    assert_eq!(accepted, 88);
}

/// Strict verification accepts signatures in which points of low order cancel out, and no other
/// edge case.
#[test]
fn cctv() {
    let file = read(include_str!("CCTV/ed25519vectors.json"));
    let harmless = ["low_order_component_A", "low_order_component_R"];
    let mut accepted = 0;
    for test in items(&file) {
        let message = test["msg"].as_str().unwrap().as_bytes();
        let verified = verifies(&test["key"], message, &hex(&test["sig"]));
        let flags = test["flags"].as_array().map_or(&[][..], Vec::as_slice);
        let expected = flags
            .iter()
            .all(|flag| harmless.contains(&flag.as_str().unwrap()));
        assert_eq!(verified, expected, "{test}");
        accepted += usize::from(verified);
    }
    assert_eq!((accepted, items(&file).len()), (43, 914));
}
