//! Attacks on derived tokens over HTTP: changes that a client can make to a token without the
//! signing key, and tokens that are signed with that key but that no server makes.

use ring::hmac;
use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{VERIFY, assert_refused, assert_valid};

use crate::harness::site::Site;
use crate::harness::tokens::{
    ALGORITHMS, ED25519_JWK, Packets, SECRET, decode, encode, sign_jwt, start, text,
};

const HEADER: &str = r#"{"alg":"EdDSA","kid":"ed-1","typ":"JWT"}"#;

/// Asserts that the token is refused with this code, at its first use and again.
#[track_caller]
fn refused(connection: &mut Connection, token: &str, code: &str) {
    for headers in [&[][..], &[], &[("Cache-Control", "no-store")]] {
        assert_refused(&connection.verify_with(token, headers), code);
    }
}

/// The claims with one of them changed.
fn with(claims: &Value, name: &str, value: Value) -> String {
    let mut claims = claims.clone();
    claims[name] = value;
    claims.to_string()
}

/// The token with another character in the middle of its last part.
fn tampered(token: &str) -> String {
    let at = token.len() - 20;
    let other = if token.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

both_drivers! {
    fn on_the_signature_of_a_jwt(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let derived = connection.derive(&key.secret, ALGORITHMS[0], &json!({}));
        let (token, claims) = (text(&derived["token"]), derived["claims"].clone());
        assert_valid(&connection.verify(&token), &key.key_id);
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("{token}") };

        let public = ED25519_JWK.split("\"x\":\"").nth(1).unwrap().trim_end_matches("\"}");
        let hs256 = |key: &[u8]| {
            let signed = format!("{}.{payload}", encode(r#"{"alg":"HS256","kid":"ed-1","typ":"JWT"}"#));
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())))
        };
        let none = encode(r#"{"alg":"none","kid":"ed-1","typ":"JWT"}"#);
        let wider = encode(with(&claims, "scp", json!(["admin"])));
        let longer = encode(with(&claims, "exp", json!(4_000_000_000_i64)));
        for forged in [
            format!("{none}.{payload}."),
            format!("{none}.{payload}.{signature}"),
            hs256(&decode(public)),
            hs256(public.as_bytes()),
            format!("{}.{payload}.{signature}", encode(r#"{"alg":"RS256","kid":"ed-1","typ":"JWT"}"#)),
            sign_jwt(r#"{"alg":"EdDSA","kid":"other","typ":"JWT"}"#, &claims.to_string()),
            sign_jwt(r#"{"alg":"EdDSA","kid":"","typ":"JWT"}"#, &claims.to_string()),
            format!("{header}.{wider}.{signature}"),
            format!("{header}.{longer}.{signature}"),
            format!("{header}.{payload}."),
            tampered(&token),
        ] {
            refused(&mut connection, &forged, "SIGNATURE_INVALID");
        }
        let jwk = format!(r#"{{"alg":"EdDSA","kid":"ed-1","typ":"JWT","jwk":{ED25519_JWK}}}"#);
        for malformed in [
            sign_jwt(&jwk, &claims.to_string()),
            sign_jwt(r#"{"alg":"EdDSA","kid":"ed-1","typ":"JWT","crit":["exp"]}"#, &claims.to_string()),
            sign_jwt(r#"{"alg":"EdDSA","kid":"ed-1","typ":"at+jwt"}"#, &claims.to_string()),
            sign_jwt(r#"{"alg":"EdDSA","typ":"JWT"}"#, &claims.to_string()),
            sign_jwt(r#"{"alg":"EdDSA","alg":"EdDSA","kid":"ed-1","typ":"JWT"}"#, &claims.to_string()),
            format!("{token}="),
            format!("{token} "),
            format!("{token}\n"),
            format!("{token}\0"),
            format!("{token}AAAA\u{e9}"),
        ] {
            refused(&mut connection, &malformed, "INVALID_FORMAT");
        }
        // A token with a fourth part has another shape.
        refused(&mut connection, &format!("{token}."), "NOT_FOUND");
        refused(&mut connection, &format!("x{token}"), "NOT_FOUND");
        assert_valid(&connection.verify(&token), &key.key_id);
        server.stop();
    }

    fn on_claims_with_a_good_signature(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let claims = connection.derive(&key.secret, ALGORITHMS[0], &json!({}))["claims"].clone();
        let plain = claims.to_string();
        assert_valid(&connection.verify(&sign_jwt(HEADER, &plain)), &key.key_id);
        let twice = |name: &str, value: &str| plain.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        for malformed in [
            twice("exp", "4000000000"),
            twice("scp", "[\"admin\"]"),
            twice("\\u0065xp", "4000000000"),
            twice("meta\":{\"a\":1,\"a\":2},\"x", "1"),
            format!("{plain}x"),
            format!("{plain}{{}}"),
            "[]".to_owned(),
            "{}".to_owned(),
            with(&claims, "tty", json!("macaroon")),
            with(&claims, "akid", json!("00000000-0000-4000-8000-000000000000")),
            with(&claims, "exp", json!("4000000000")),
            with(&claims, "exp", json!(1e300)),
            with(&claims, "nbf", json!(-1)),
            with(&claims, "acl", json!(["nowhere"])),
        ] {
            refused(&mut connection, &sign_jwt(HEADER, &malformed), "INVALID_FORMAT");
        }
        let unknown = json!("00000000-0000-4000-8000-000000000000");
        let mut orphan = claims.clone();
        orphan["akid"] = unknown.clone();
        let now = claims["iat"].as_i64().unwrap();
        for (payload, code) in [
            (with(&claims, "iss", json!("https://other.example")), "NOT_FOUND"),
            (with(&claims, "iss", json!("https://issuer.example/")), "NOT_FOUND"),
            (with(&with_both(&claims, "nid", "pid", &unknown), "x", json!(1)), "NOT_FOUND"),
            (with(&orphan, "sub", unknown), "REVOKED"),
            (with(&claims, "exp", json!(now - 301)), "EXPIRED"),
            (with(&claims, "nbf", json!(now + 600)), "EXPIRED"),
            (with(&claims, "aud", json!(["api"])), "AUDIENCE_MISMATCH"),
            (with(&claims, "aud", json!("api")), "AUDIENCE_MISMATCH"),
            (with(&claims, "acl", json!(["192.0.2.0/24"])), "IP_NOT_ALLOWED"),
        ] {
            refused(&mut connection, &sign_jwt(HEADER, &payload), code);
        }
        server.stop();
    }

    fn on_the_size_of_a_token(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        for start in ["eyJ", "mc_v1_"] {
            let end = if start == "eyJ" { ".e30.c2ln" } else { "" };
            let sized = |bytes: usize| format!("{start}{}{end}", "A".repeat(bytes - start.len() - end.len()));
            refused(&mut connection, &sized(8192), "INVALID_FORMAT");
            let ask = |connection: &mut Connection, bytes| {
                connection.post(VERIFY, &json!({"credential": sized(bytes)}))
            };
            ask(&mut connection, 8193).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            ask(&mut connection, 1_000_000).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            let too_large = ask(&mut server.connect(), 1 << 20);
            too_large.assert_error(413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE");
        }
        server.stop();
    }

    fn on_the_caveats_of_a_macaroon(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let derived = connection.derive(&key.secret, ALGORITHMS[1], &json!({}));
        let token = text(&derived["token"]);
        let packets = Packets::read(&token);
        let exp = derived["claims"]["exp"].as_i64().unwrap();
        let scopes = r#"{"scp":["read:*"]}"#;
        let sooner = format!(r#"{{"exp":{}}}"#, exp - 60);
        let good = packets.clone().append(scopes).append(&sooner);
        assert_valid(&connection.verify(&good.token()), &key.key_id);

        for caveat in [
            r#"{"scp":["read:*","admin"]}"#, r#"{"scp":["READ:*"]}"#,
            r#"{"acl":[]}"#, r#"{"aud":["x"]}"#, r#"{"unknown":1}"#, "{}", "", "time < 2030-01-01", r#"{"EXP":1}"#,
            r#"{"exp":1,"exp":2}"#, r#"{"exp":1}x"#, "null",
        ] {
            refused(&mut connection, &packets.clone().append(caveat).token(), "INVALID_FORMAT");
        }
        // A weaker end or beginning changes nothing.
        for caveat in [&format!(r#"{{"exp":{}}}"#, exp + 1), r#"{"nbf":0}"#] {
            let token = packets.clone().append(&sooner).append(caveat).token();
            let verdict = connection.verify(&token);
            assert_valid(&verdict, &key.key_id);
            assert_eq!(verdict["expire_time"], connection.verify(&good.token())["expire_time"]);
        }
        // A later caveat does not undo a narrowing.
        let undone = packets.clone().append(r#"{"scp":[]}"#).append(scopes);
        refused(&mut connection, &undone.token(), "INVALID_FORMAT");

        let mut reordered = good.clone();
        reordered.caveats.swap(1, 2);
        let mut removed = good.clone();
        removed.caveats.pop();
        let mut unsigned = packets.clone();
        unsigned.caveats.push(scopes.as_bytes().to_vec());
        let mut changed = good.clone();
        changed.caveats[2] = format!(r#"{{"exp":{exp}}}"#).into_bytes();
        let mut renamed = packets.clone();
        renamed.identifier[0] ^= 1;
        let claims = derived["claims"].to_string();
        let jti = text(&derived["claims"]["jti"]);
        let foreign = Packets::signed("another secret of more than 32 characters", &jti, &[&claims]);
        for forged in [reordered, removed, unsigned, changed, renamed, foreign] {
            refused(&mut connection, &forged.token(), "SIGNATURE_INVALID");
        }
        refused(&mut connection, &tampered(&token), "SIGNATURE_INVALID");

        let third_party = packets.clone().append(scopes).token_with(&[4, 1, 0]);
        let wider = with(&derived["claims"], "tty", json!("jwt"));
        for malformed in [
            third_party,
            Packets::signed(SECRET, &jti, &[&wider]).token(),
            Packets::signed(SECRET, "another name", &[&claims]).token(),
            Packets::signed(SECRET, &jti, &[]).token(),
            format!("{token}A"), format!("{token}AA"), format!("{token}="), format!("{token}\n"), format!("{token}."),
            token.replacen("mc_v1_", "mc_v1_x_v1_", 1), "mc_v1_".to_owned(), "mc_v1_AgEB".to_owned(),
        ] {
            refused(&mut connection, &malformed, "INVALID_FORMAT");
        }
        let many = (0..32).fold(packets.clone(), |packets, _| packets.append(scopes));
        refused(&mut connection, &many.token(), "INVALID_FORMAT");
        // With a prefix that is not configured the token counts as an imported key, and no such key
        // exists.
        refused(&mut connection, &token.replacen("mc_", "mx_", 1), "NOT_FOUND");
        assert_valid(&connection.verify(&token), &key.key_id);
        server.stop();
    }

    fn with_custom_claims_named_like_others(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let custom = json!({
            "iss": "x", "sub": "x", "iat": 1, "nbf": 1, "exp": 4_000_000_000_i64, "jti": "x", "nid": "x", "akid": "x",
            "pid": "x", "oid": "x", "scp": ["admin"], "scope": "admin", "meta": {"a": 1}, "vis": "x", "acl": ["0.0.0.0/0"],
            "tty": "x", "aud": ["x"], "EXP": 1, "Scp": ["admin"], "\u{17f}cp": ["admin"], "a\u{212a}id": "x", "kept": true,
        });
        for algorithm in ALGORITHMS {
            let plain = connection.derive(&key.secret, algorithm, &json!({}))["claims"].clone();
            let derived = connection.derive(&key.secret, algorithm, &json!({"custom_claims": custom}));
            let claims = derived["claims"].as_object().unwrap();
            let added: Vec<_> = claims.keys().filter(|name| plain.get(name).is_none()).collect();
            assert_eq!(added, ["kept"]);
            for name in ["iss", "sub", "nid", "akid", "pid", "oid", "scp", "vis", "tty"] {
                assert_eq!(claims[name], plain[name], "{name}");
            }
            let verdict = connection.verify(derived["token"].as_str().unwrap());
            assert_valid(&verdict, &key.key_id);
            assert_eq!(verdict["scopes"], json!(["read:*"]));
        }
        server.stop();
    }
}

/// The claims with two of them changed to the same value.
fn with_both(claims: &Value, first: &str, second: &str, value: &Value) -> Value {
    let mut claims = claims.clone();
    claims[first] = value.clone();
    claims[second] = value.clone();
    claims
}
