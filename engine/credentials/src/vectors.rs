//! Base58 vectors of Bitcoin and of npm's bs58 package, for the encoder and decoder of issued keys.
//! `vectors/SOURCES.md` says where the data comes from.

use serde_json::Value;

use super::base58;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(expected_hex: &Value, text: &Value) {
    let expected_hex = expected_hex.as_str().unwrap().to_lowercase();
    let text = text.as_str().unwrap();
    let bytes = bs58::decode(text).into_vec().unwrap();
    assert_eq!(hex(&bytes), expected_hex);
    assert_eq!(bs58::encode(&bytes).into_string(), text);
    let mut buffer = [0; base58::CHARS_MAX];
    let len = base58::decode(text.as_bytes(), &mut buffer);
    let fits = text.len() <= base58::CHARS_MAX;
    assert_eq!(len.is_some(), fits, "{text}");
    assert!(len.is_none_or(|len| buffer[..len] == bytes), "{text}");
}

#[test]
fn bitcoin() {
    let rows: Value =
        serde_json::from_str(include_str!("vectors/base58_encode_decode.json")).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 21);
    for row in rows {
        check(&row[0], &row[1]);
    }
}

#[test]
fn npm() {
    let file: Value = serde_json::from_str(include_str!("vectors/fixtures.json")).unwrap();
    for row in file["valid"].as_array().unwrap() {
        check(&row["hex"], &row["string"]);
    }
    for row in file["invalid"].as_array().unwrap() {
        let text = row["string"].as_str().unwrap();
        let decoded = base58::decode(text.as_bytes(), &mut [0; base58::CHARS_MAX]);
        assert!(decoded.is_none(), "{row}");
    }
}
