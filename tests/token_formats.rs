//! Another implementation reads the tokens of the running server, and the server reads that
//! implementation's tokens.

use ring::signature::{
    ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};
use talos_test_kit::keys::assert_valid;

use crate::harness::site::Site;
use crate::harness::tokens::{
    ALGORITHMS, ED25519_JWK, Packets, RSA_JWK, SECRET, SIGNING_KEYS, decode, macaroon_signature,
    sign_jwt, start, start_with, text, url,
};

const JWKS: [&str; 2] = [
    "/v2alpha1/derivedKeys/jwks.json",
    "/v2alpha1/admin/derivedKeys/jwks.json",
];

/// The payload of a JWT, after its signature was checked with the key that its header names.
fn verified(jwks: &Value, token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("{token}");
    };
    let signed = format!("{header}.{payload}");
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header["typ"], "JWT");
    let keys = jwks["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&key["alg"], &key["use"]), (&header["alg"], &json!("sig")));
    let member = |name: &str| decode(&text(&key[name]));
    let (message, signature) = (signed.as_bytes(), decode(signature));
    let holds = match key["kty"].as_str().unwrap() {
        "OKP" => UnparsedPublicKey::new(&ED25519, member("x")).verify(message, &signature),
        "RSA" => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature),
        other => panic!("{other}"),
    };
    assert_eq!(holds, Ok(()), "{token}");
    serde_json::from_slice(&decode(payload)).unwrap()
}

both_drivers! {
    fn a_client_that_has_the_key_set_gets_304(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, &[(SIGNING_KEYS, &url(ED25519_JWK))]);
        let mut connection = server.connect();
        for path in JWKS {
            let whole = connection.call("GET", path, &[], b"");
            let tag = whole.header("etag").unwrap().to_owned();
            assert_eq!(whole.header("cache-control"), Some("public, max-age=300"));
            let all = [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()];
            for value in all {
                let answer = connection.call("GET", path, &[("If-None-Match", &value)], b"");
                assert_eq!((answer.status, answer.header("etag")), (304, Some(&*tag)), "{value}");
                assert_eq!((answer.body.len(), answer.header("content-length")), (0, None));
            }
            for value in ["\"x\"", "", "x", tag.trim_matches('"')] {
                let answer = connection.call("GET", path, &[("If-None-Match", value)], b"");
                assert_eq!((answer.status, answer.body.len()), (200, whole.body.len()), "{value}");
            }
        }
        server.stop();
        // Other keys have another tag.
        let tag_of = |keys: &str| {
            let server = start_with(&site, &[(SIGNING_KEYS, keys)]);
            let answer = server.connect().call("GET", JWKS[0], &[], b"");
            server.stop();
            answer.header("etag").unwrap().to_owned()
        };
        assert_ne!(tag_of(&url(ED25519_JWK)), tag_of(&url(RSA_JWK)));
    }

    fn jwts_verify_with_the_published_keys(driver: Driver) {
        let site = Site::new(driver);
        let urls = format!("{},{}", url(ED25519_JWK), url(RSA_JWK));
        for (kid, algorithm) in [("ed-1", "EdDSA"), ("bilbo.baggins@hobbiton.example", "RS256")] {
            let server = start_with(&site, &[(SIGNING_KEYS, &urls), ("DERIVED_TOKENS_JWT_SIGNING_KEY_ID", kid)]);
            let mut connection = server.connect();
            let key = connection.issue("key");
            let wishes = json!({"ttl": "10m", "audiences": ["api"], "custom_claims": {"role": "viewer"}});
            let derived = connection.derive(&key.secret, ALGORITHMS[0], &wishes);
            for path in JWKS {
                let jwks = connection.call("GET", path, &[], b"").json();
                assert_eq!(jwks["keys"], jwks["jwks"]["keys"]);
                assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
                let claims = verified(&jwks, derived["token"].as_str().unwrap());
                assert_eq!(claims, derived["claims"]);
                assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://issuer.example"), &json!(["api"])));
                assert_eq!((&claims["sub"], &claims["akid"]), (&json!(key.key_id), &json!(key.key_id)));
                assert_eq!((&claims["oid"], &claims["scp"]), (&json!("tester"), &json!(["read:*"])));
                assert_eq!((&claims["role"], &claims["tty"]), (&json!("viewer"), &json!("jwt")));
                assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
            }
            let header = derived["token"].as_str().unwrap().split('.').next().unwrap();
            let header: Value = serde_json::from_slice(&decode(header)).unwrap();
            assert_eq!(header, json!({"alg": algorithm, "kid": kid, "typ": "JWT"}));
            server.stop();
        }
    }

    fn macaroons_verify_with_the_secret(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let derived = connection.derive(&key.secret, ALGORITHMS[1], &json!({}));
        let token = text(&derived["token"]);
        let packets = Packets::read(&token);
        assert_eq!(packets.location, b"https://issuer.example");
        assert_eq!(packets.identifier, text(&derived["claims"]["jti"]).as_bytes());
        assert_eq!(packets.caveats.len(), 1);
        let claims: Value = serde_json::from_slice(&packets.caveats[0]).unwrap();
        assert_eq!((&claims, &claims["tty"]), (&derived["claims"], &json!("macaroon")));
        let signature = macaroon_signature(SECRET, &packets.identifier, &packets.caveats);
        assert_eq!(packets.signature, signature);
        assert_eq!(packets.token(), token, "the same bytes");
        server.stop();
    }

    fn tokens_that_were_made_elsewhere_are_accepted(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("key");
        let jwt = connection.derive(&key.secret, ALGORITHMS[0], &json!({}))["claims"].clone();
        let header = r#"{"kid":"ed-1","typ":"JWT","alg":"EdDSA"}"#;
        assert_valid(&connection.verify(&sign_jwt(header, &jwt.to_string())), &key.key_id);

        let mut claims = jwt;
        claims["tty"] = json!("macaroon");
        let claims = claims.to_string();
        let identifier = text(&serde_json::from_str::<Value>(&claims).unwrap()["jti"]);
        let macaroon = Packets::signed(SECRET, &identifier, &[&claims]);
        assert_valid(&connection.verify(&macaroon.token()), &key.key_id);
        let narrowed = macaroon.append(r#"{"scp": []}"#);
        let verdict = connection.verify(&narrowed.token());
        assert_valid(&verdict, &key.key_id);
        assert_eq!(verdict["scopes"], json!([]));
        server.stop();
    }
}
