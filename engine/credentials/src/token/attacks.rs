//! Attacks on JSON Web Tokens, all of which must fail.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::token::claims::tests::{custom, sample};
use crate::token::jwk::tests::{okp, rsa, with};
use crate::token::{Claims, MintError, SigningKeys, TokenFault, TokenType, jwt};

fn keys() -> SigningKeys {
    let set = json!({"keys": [okp(1, "ed"), with(rsa(), "kid", "rsa".into())]}).to_string();
    SigningKeys::from_jwk_sets([set.as_str()]).unwrap()
}

/// A token with any header and payload, correctly signed by the key `kid`, as its owner could make
/// it.
fn signed(kid: &str, header: &str, payload: &str) -> String {
    let keys = keys();
    let parts = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = parts.join(".");
    let signature = keys
        .signing_key(Some(kid))
        .unwrap()
        .sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
}

fn payload() -> String {
    sample().to_json(TokenType::Jwt).unwrap()
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"ed","typ":"JWT"}"#;

fn verify(token: &str) -> Result<Claims, TokenFault> {
    jwt::verify(&keys(), token)
}

/// The functions above make a token that is accepted. Otherwise the refusals below would prove
/// nothing.
#[test]
fn the_untouched_token_is_accepted() {
    assert_eq!(verify(&signed("ed", HEADER, &payload())), Ok(sample()));
    let rs256 = HEADER
        .replace("EdDSA", "RS256")
        .replace("\"ed\"", "\"rsa\"");
    assert_eq!(verify(&signed("rsa", &rs256, &payload())), Ok(sample()));
    for kid in ["ed", "rsa"] {
        let keys = keys();
        let token = jwt::sign(keys.signing_key(Some(kid)).unwrap(), &sample()).unwrap();
        assert_eq!(jwt::verify(&keys, &token), Ok(sample()));
    }
}

#[test]
fn the_header_does_not_choose_the_algorithm() {
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "RS256", "ES256", "eddsa", "Ed25519",
    ] {
        let header = HEADER.replace("EdDSA", alg);
        let fault = verify(&signed("ed", &header, &payload()));
        assert_eq!(fault, Err(TokenFault::SignatureInvalid), "{alg}");
        let token = signed("ed", &header, &payload());
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert_eq!(verify(unsigned), Err(TokenFault::SignatureInvalid), "{alg}");
        let two_parts = unsigned.trim_end_matches('.');
        assert_eq!(verify(two_parts), Err(TokenFault::InvalidFormat), "{alg}");
    }
    // An RSA key does not sign for EdDSA, nor for its own other algorithms.
    for alg in ["EdDSA", "RS512", "PS256", "HS256"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"rsa","typ":"JWT"}}"#);
        let fault = verify(&signed("rsa", &header, &payload()));
        assert_eq!(fault, Err(TokenFault::SignatureInvalid), "{alg}");
    }
}

#[test]
fn a_public_key_is_not_accepted_as_an_hmac_secret() {
    let set = keys().public_set();
    for (kid, index) in [("ed", 0), ("rsa", 1)] {
        let jwk = &set["keys"][index];
        let member = jwk["x"].as_str().or(jwk["n"].as_str()).unwrap();
        let raw = URL_SAFE_NO_PAD.decode(member).unwrap();
        let secrets = [
            raw,
            member.into(),
            jwk.to_string().into(),
            set.to_string().into(),
        ];
        for secret in secrets {
            for alg in ["HS256", jwk["alg"].as_str().unwrap()] {
                let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#);
                let parts = [header, payload()].map(|part| URL_SAFE_NO_PAD.encode(part));
                let message = parts.join(".");
                let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
                mac.update(message.as_bytes());
                let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
                let fault = verify(&format!("{message}.{signature}"));
                assert_eq!(fault, Err(TokenFault::SignatureInvalid), "{alg}");
            }
        }
    }
}

#[test]
fn foreign_keys_are_refused() {
    let foreign = okp(2, "ed");
    let text = foreign.to_string();
    let foreign_keys = SigningKeys::from_jwk_sets([text.as_str()]).unwrap();
    let key = foreign_keys.signing_key(None).unwrap();
    // Another key with the same kid.
    let token = jwt::sign(key, &sample()).unwrap();
    assert_eq!(verify(&token), Err(TokenFault::SignatureInvalid));

    for kid in ["other", "", "ED", "ed ", "../ed", "rsa' OR '1", "ed\\u0000"] {
        let header = HEADER.replace("\"ed\"", &format!("\"{kid}\""));
        let fault = verify(&signed("ed", &header, &payload()));
        assert_eq!(fault, Err(TokenFault::UnknownKey), "{kid}");
    }
    // A token that contains the key it is signed with.
    let public = json!({"kty": "OKP", "crv": "Ed25519", "x": foreign["x"]});
    for (name, value) in [
        ("jwk", public),
        ("jku", "https://attacker.example/jwks.json".into()),
        ("x5u", "https://attacker.example/cert.pem".into()),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header: Value = serde_json::from_str(HEADER).unwrap();
        header[name] = value;
        let parts = [header.to_string(), payload()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let message = parts.join(".");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        let fault = verify(&format!("{message}.{signature}"));
        assert_eq!(fault, Err(TokenFault::InvalidFormat), "{name}");
    }
}

#[test]
fn headers_that_change_the_meaning_are_refused() {
    for header in [
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","crit":[]}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","b64":true}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","zip":"DEF"}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","cty":"JWT"}"#,
        r#"{"alg":"none","alg":"EdDSA","kid":"ed","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"rsa","kid":"ed","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"ed","\u0061lg":"EdDSA","typ":"JWT"}"#,
        r#"{"alg":["EdDSA"],"kid":"ed","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":["ed"],"typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":null,"typ":"JWT"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
        r#"{"kid":"ed","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"ed"}"#,
        r#"["EdDSA","ed","JWT"]"#,
        r#"{"alg":"EdDSA","kid":"ed","typ":"JWT"}{}"#,
        "",
    ] {
        let fault = verify(&signed("ed", header, &payload()));
        assert_eq!(fault, Err(TokenFault::InvalidFormat), "{header}");
    }
}

#[test]
fn duplicate_claims_are_refused_at_every_level() {
    for (from, to) in [
        ("{\"iss\"", "{\"exp\":9999999999,\"iss\""),
        ("{\"iss\"", "{\"\\u0065xp\":9999999999,\"iss\""),
        (
            "\"role\":\"viewer\"",
            "\"role\":\"viewer\",\"role\":\"admin\"",
        ),
        (
            "\"team\":\"payments\"",
            "\"team\":\"payments\",\"team\":\"x\"",
        ),
        ("{\"a\":null}", "{\"a\":null,\"a\":1}"),
    ] {
        let text = payload().replace(from, to);
        assert_ne!(text, payload());
        let fault = verify(&signed("ed", HEADER, &text));
        assert_eq!(fault, Err(TokenFault::InvalidFormat), "{to}");
    }
}

#[test]
fn a_token_has_one_spelling() {
    let token = signed("ed", HEADER, &payload());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    // 64 bytes leave four bits of the last character unused. They must be zero.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(token.chars().last().unwrap()).unwrap();
    let unused_bits = format!(
        "{}{}",
        &token[..token.len() - 1],
        &alphabet[last + 1..last + 2]
    );
    for changed in [
        format!("{token}="),
        format!("{token}=="),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}\n"),
        format!("{token}\0"),
        format!(" {token}"),
        format!(".{token}"),
        unused_bits,
        message.to_owned(),
        String::new(),
        "..".to_owned(),
        "...".to_owned(),
    ] {
        assert_eq!(
            verify(&changed),
            Err(TokenFault::InvalidFormat),
            "{changed}"
        );
    }
    let padded = format!("{message}.{}", URL_SAFE.encode(&raw));
    assert_eq!(verify(&padded), Err(TokenFault::InvalidFormat));
    let header = STANDARD_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"ed","typ":"JWT","x":"??>>~~"}"#);
    assert!(header.contains(['+', '/']));
    let other_alphabet = format!("{header}.{}", token.split_once('.').unwrap().1);
    assert_eq!(verify(&other_alphabet), Err(TokenFault::InvalidFormat));
    // Correctly encoded signatures of the wrong length.
    for cut in [0, 32, 63] {
        let short = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&raw[..cut]));
        assert_eq!(verify(&short), Err(TokenFault::SignatureInvalid));
    }
    let long = format!(
        "{message}.{}",
        URL_SAFE_NO_PAD.encode([&raw[..], &[0]].concat())
    );
    assert_eq!(verify(&long), Err(TokenFault::SignatureInvalid));
}

#[test]
fn every_changed_character_is_noticed() {
    let keys = keys();
    let token = signed("ed", HEADER, &payload());
    for at in 0..token.len() {
        for with in ["A", "z", "_", ".", "+", "\0"] {
            let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                assert!(jwt::verify(&keys, &changed).is_err(), "{at} {with}");
            }
        }
    }
}

#[test]
fn size_is_checked_first() {
    let mebibyte = "A".repeat(1 << 20);
    for token in [
        mebibyte.clone(),
        format!("{mebibyte}.{mebibyte}.{mebibyte}"),
        ".".repeat(1 << 20),
        signed("ed", HEADER, &payload().replace("viewer", &mebibyte)),
    ] {
        assert_eq!(verify(&token), Err(TokenFault::InvalidFormat));
    }
    // Tokens up to the limit of length, and one beyond it.
    let mut claims = sample();
    let keys = keys();
    let key = keys.signing_key(Some("ed")).unwrap();
    let mut length = 0;
    for filler in 5000..7000 {
        claims.custom = custom(json!({"filler": "x".repeat(filler)}));
        match jwt::sign(key, &claims) {
            Ok(token) => {
                length = token.len();
                assert_eq!(jwt::verify(&keys, &token).as_ref(), Ok(&claims));
            }
            Err(error) => {
                // The owner of the key could sign it nevertheless.
                let text = claims.to_json(TokenType::Jwt).unwrap();
                let token = signed("ed", HEADER, &text);
                assert!((8193..8200).contains(&token.len()));
                assert_eq!(verify(&token), Err(TokenFault::InvalidFormat));
                assert!(matches!(error, MintError::TooLong { bytes } if bytes > 8192));
                assert!((8190..=8192).contains(&length));
                return;
            }
        }
    }
    panic!("never too long");
}

#[test]
fn claims_of_one_format_are_refused_in_the_other() {
    let macaroons = sample().to_json(TokenType::Macaroon).unwrap();
    let fault = verify(&signed("ed", HEADER, &macaroons));
    assert_eq!(fault, Err(TokenFault::InvalidFormat));
}

#[test]
fn custom_claims_do_not_take_reserved_names() {
    let names = [
        "iss",
        "sub",
        "iat",
        "nbf",
        "exp",
        "jti",
        "nid",
        "akid",
        "pid",
        "oid",
        "scp",
        "scope",
        "meta",
        "vis",
        "acl",
        "tty",
        "aud",
        "EXP",
        "Aud",
        "i\u{17f}s",
        "a\u{212a}id",
    ];
    let mut claims = json!({"role": "viewer", "exp_": 1, " exp": 1});
    for name in names {
        claims[name] = json!(9_999_999_999_u64);
    }
    let claims = Claims {
        custom: custom(claims),
        ..sample()
    };
    let keys = keys();
    let token = jwt::sign(keys.signing_key(None).unwrap(), &claims).unwrap();
    let verified = jwt::verify(&keys, &token).unwrap();
    assert_eq!(verified.expires_at_s, sample().expires_at_s);
    let left: Vec<&String> = verified.custom.as_map().keys().collect();
    assert_eq!(left, [" exp", "exp_", "role"]);
}
