//! Test vectors: libmacaroons for the binary format, Wycheproof for the HMAC under it.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

use crate::token::macaroon::wire::{self, WireFault};
use crate::token::macaroon::{RootKey, hmac};
use crate::token::vectors::{hex, items, read};

#[test]
fn wycheproof_hmac() {
    let file = read(include_str!("../vectors/wycheproof/hmac_sha256_test.json"));
    let mut valid = 0;
    for group in items(&file["testGroups"]) {
        for test in items(&group["tests"]) {
            let (tag, key, message) = (hex(&test["tag"]), hex(&test["key"]), hex(&test["msg"]));
            let fits = hmac(&key, &message).starts_with(&tag);
            assert_eq!(fits, test["result"] == "valid", "{test}");
            valid += usize::from(fits);
        }
    }
    assert_eq!(valid, 66);
}

struct Verification {
    is_authorized: bool,
    key: Vec<u8>,
    exact: Vec<Vec<u8>>,
    macaroon: Vec<u8>,
}

fn parse(text: &str) -> Verification {
    let mut lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .skip(1);
    let is_authorized = lines.next().unwrap() == "authorized";
    let key = lines.next().unwrap().strip_prefix("key ").unwrap().into();
    let rest: Vec<&str> = lines.collect();
    let (macaroon, exact) = rest.split_last().unwrap();
    Verification {
        is_authorized,
        key,
        exact: exact
            .iter()
            .map(|line| line.strip_prefix("exact ").unwrap().into())
            .collect(),
        macaroon: URL_SAFE_NO_PAD
            .decode(macaroon.trim_end_matches('='))
            .unwrap(),
    }
}

macro_rules! verifications {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../vectors/libmacaroons/", $name, ".vtest")))),*]
    };
}

#[test]
fn libmacaroons_verifications() {
    for (name, text) in verifications![
        "root_v2_1",
        "root_v2_2",
        "caveat_v2_1",
        "caveat_v2_2",
        "caveat_v2_3",
        "caveat_v2_4",
        "caveat_v2_5",
        "caveat_v2_6"
    ] {
        let test = parse(text);
        let packets = wire::decode(&test.macaroon, 9).unwrap();
        let is_signed = RootKey::new(&test.key).has_signed(&packets);
        let is_allowed = packets.caveats.iter().all(|c| test.exact.contains(c));
        assert_eq!(is_signed && is_allowed, test.is_authorized, "{name}");
        assert_eq!(wire::encode(&packets), test.macaroon, "{name}");
    }
}

#[test]
fn version_1_is_refused() {
    for (name, text) in verifications![
        "root_v1_1",
        "root_v1_2",
        "caveat_v1_1",
        "caveat_v1_2",
        "caveat_v1_3",
        "caveat_v1_4",
        "caveat_v1_5",
        "caveat_v1_6"
    ] {
        let read = wire::decode(&parse(text).macaroon, 9);
        assert_eq!(read, Err(WireFault::Malformed), "{name}");
    }
}

#[test]
fn libmacaroons_serializations() {
    for text in [
        include_str!("../vectors/libmacaroons/serialization_1"),
        include_str!("../vectors/libmacaroons/serialization_2"),
        include_str!("../vectors/libmacaroons/serialization_3"),
    ] {
        let encoded = |version: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(version));
            URL_SAFE.decode(line.unwrap()).unwrap()
        };
        let (v1, v2, json) = (encoded("v1 "), encoded("v2 "), encoded("v2j "));
        let packets = wire::decode(&v2, 9).unwrap();
        assert_eq!(wire::encode(&packets), v2);
        assert_eq!(
            packets.location.as_deref(),
            Some(&b"http://example.org/"[..])
        );
        assert!(RootKey::new(b"this is the key").has_signed(&packets));

        let json = read(std::str::from_utf8(&json).unwrap());
        assert_eq!(json["i"].as_str().unwrap().as_bytes(), packets.identifier);
        let caveats: Vec<&[u8]> = items(&json["c"])
            .iter()
            .map(|caveat| caveat["i"].as_str().unwrap().as_bytes())
            .collect();
        assert_eq!(caveats, packets.caveats);
        let signature = URL_SAFE_NO_PAD.decode(json["s64"].as_str().unwrap());
        assert_eq!(signature.unwrap(), packets.signature);
        assert!(wire::decode(&v1, 9).is_err());
    }
}
