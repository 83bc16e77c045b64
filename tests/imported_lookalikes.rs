//! Imported keys that look like derived tokens but are keys of other systems.

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{VERIFY, assert_refused, assert_valid};

use crate::harness::cli::{talos, talos_with_input};
use crate::harness::site::Site;
use crate::harness::tokens::{
    ALGORITHMS, ED25519_JWK, SIGNING_KEYS, encode, sign_jwt, start, start_with, text, url,
};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const BATCH_IMPORT: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";
const BATCH_VERIFY: &str = "/v2alpha1/admin/apiKeys:batchVerify";
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
/// The second key of RFC 8032 section 7.1, with the name of [`ED25519_JWK`].
const OTHER_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed-1","d":"TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;
/// The header of the tokens of a server that signs with [`ED25519_JWK`].
const OWN_HEADER: &str = r#"{"alg":"EdDSA","kid":"ed-1","typ":"JWT"}"#;

fn jwt(header: &str, payload: &str) -> String {
    format!(
        "{}.{}.{}",
        encode(header),
        encode(payload),
        encode("signature")
    )
}

/// Keys of other systems, with the error code that each has while it is not imported.
fn foreign_keys() -> Vec<(String, &'static str)> {
    let supabase =
        r#"{"iss":"supabase","ref":"abcdefgh","role":"anon","iat":1700000000,"exp":2015576000}"#;
    vec![
        (
            jwt(r#"{"alg":"HS256","typ":"JWT"}"#, supabase),
            "INVALID_FORMAT",
        ),
        (
            jwt(r#"{"alg":"HS256","kid":"ed-1","typ":"JWT"}"#, supabase),
            "SIGNATURE_INVALID",
        ),
        (
            jwt(r#"{"alg":"ES256","kid":"7f","typ":"JWT"}"#, supabase),
            "SIGNATURE_INVALID",
        ),
        (jwt(r#"{"alg":"none"}"#, "{}"), "INVALID_FORMAT"),
        // The other system gave its key the name of ours.
        (jwt(OWN_HEADER, supabase), "SIGNATURE_INVALID"),
        ("eyJhbGciOiJIUzI1NiJ9.a.b".to_owned(), "INVALID_FORMAT"),
        ("eyJ..".to_owned(), "INVALID_FORMAT"),
        ("fw_v1_AgEBeA".to_owned(), "NOT_FOUND"),
    ]
}

fn body(raw_key: &str) -> Value {
    json!({"raw_key": raw_key, "name": "n", "actor_id": "a", "scopes": ["read"]})
}

#[track_caller]
fn import(connection: &mut Connection, raw_key: &str) -> String {
    let answer = connection.post(IMPORT, &body(raw_key));
    assert_eq!(answer.status, 201, "{raw_key} {answer:?}");
    text(&answer.json()["key_id"])
}

both_drivers! {
    fn keys_that_look_like_tokens_are_imported_and_verified(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        for (raw_key, unknown) in foreign_keys() {
            assert_refused(&connection.verify(&raw_key), unknown);
            let key_id = import(&mut connection, &raw_key);
            for headers in [&[][..], &[], &[("Cache-Control", "no-store")]] {
                let verdict = connection.verify_with(&raw_key, headers);
                assert_valid(&verdict, &key_id);
                assert_eq!(verdict["scopes"], json!(["read"]));
            }
            let bearer = format!("Bearer {raw_key}");
            let answer = connection.call("GET", "/verify", &[("Authorization", &bearer)], b"");
            assert_valid(&answer.json(), &key_id);
            let audience = json!({"credential": raw_key, "expected_audiences": ["api"]});
            assert_refused(&connection.post(VERIFY, &audience).json(), "AUDIENCE_MISMATCH");
            connection.post(IMPORT, &body(&raw_key)).assert_error(409, "ALREADY_EXISTS", "API_KEY_EXISTS");
            for algorithm in ALGORITHMS {
                let token = text(&connection.derive(&raw_key, algorithm, &json!({}))["token"]);
                assert_valid(&connection.verify(&token), &key_id);
            }
        }
        let requests: Vec<_> = foreign_keys().iter().map(|(key, _)| json!({"credential": key})).collect();
        let results = connection.post(BATCH_VERIFY, &json!({"requests": requests})).json();
        for result in results["results"].as_array().unwrap() {
            assert_eq!(result["is_valid"], true, "{results}");
        }
        server.stop();
    }

    fn such_keys_end_like_others(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        for (raw_key, unknown) in foreign_keys() {
            if unknown != "NOT_FOUND" {
                connection.post(SELF_REVOKE, &json!({"credential": raw_key}))
                    .assert_error(400, "INVALID_ARGUMENT", "DERIVED_TOKEN_NOT_REVOCABLE");
                connection.ask_for_token(&raw_key, ALGORITHMS[0], &json!({}))
                    .assert_error(400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE");
            }
            let key_id = import(&mut connection, &raw_key);
            assert_valid(&connection.verify(&raw_key), &key_id);
            let answer = connection.post(SELF_REVOKE, &json!({"credential": raw_key}));
            assert!(answer.status < 300, "{answer:?}");
            assert_refused(&connection.verify(&raw_key), "REVOKED");
            let path = format!("{IMPORT}/{key_id}");
            assert!(connection.call("DELETE", &path, &[], b"").status < 300);
            assert_eq!(connection.verify(&raw_key)["is_valid"], false);
            let key_id = import(&mut connection, &raw_key);
            assert_valid(&connection.verify(&raw_key), &key_id);
        }
        server.stop();
    }

    fn tokens_of_this_server_cannot_be_imported(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let mut connection = server.connect();
        let key = connection.issue("parent");
        let token = text(&connection.derive(&key.secret, ALGORITHMS[0], &json!({}))["token"]);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let macaroon = text(&connection.derive(&key.secret, ALGORITHMS[1], &json!({}))["token"]);
        let own = [
            token.clone(),
            format!("{signed}."),
            jwt(OWN_HEADER, "{}"),
            jwt(OWN_HEADER, r#"{"iss":"https://issuer.example"}"#),
            sign_jwt(OWN_HEADER, r#"{"iss":"https://elsewhere.example"}"#),
            macaroon,
        ];
        for raw_key in &own {
            connection.post(IMPORT, &body(raw_key))
                .assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        }
        let foreign = jwt(r#"{"alg":"HS256"}"#, "{}");
        let batch = json!({"requests": [body(&own[0]), body(&foreign)]});
        let answer = connection.post(BATCH_IMPORT, &batch).json();
        let code = "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_FAILED_PRECONDITION";
        assert_eq!(answer["results"][0]["error_code"], code, "{answer}");
        let key_id = text(&answer["results"][1]["imported_api_key"]["key_id"]);
        assert_valid(&connection.verify(&foreign), &key_id);
        assert_valid(&connection.verify(&token), &key.key_id);
        server.stop();
    }

    fn imported_keys_survive_new_signing_keys(driver: Driver) {
        let site = Site::new(driver);
        let foreign = sign_jwt(OWN_HEADER, r#"{"iss":"supabase"}"#);
        let macaroon = "fw_v1_AgEBeA";
        let server = start_with(&site, &[]);
        let mut connection = server.connect();
        let ids = [import(&mut connection, &foreign), import(&mut connection, macaroon)];
        server.stop();
        // Both signing keys have the name that the header of the imported key names.
        for jwk in [OTHER_JWK, ED25519_JWK] {
            let server = start_with(&site, &[
                (SIGNING_KEYS, &url(jwk)),
                ("DERIVED_TOKENS_MACAROON_PREFIX_CURRENT", "fw"),
            ]);
            let mut connection = server.connect();
            assert_valid(&connection.verify(&foreign), &ids[0]);
            assert_valid(&connection.verify(macaroon), &ids[1]);
            server.stop();
        }
    }

    fn the_command_line_takes_them(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site);
        let (raw_key, _) = foreign_keys().remove(0);
        let keys = |arguments: &[&str]| talos(server.address, &[&["keys"], arguments].concat());
        let arguments = ["keys", "imported", "import", "anon", "--actor", "a", "--raw-key", "-"];
        talos_with_input(server.address, &arguments, &raw_key).succeeded();
        assert!(keys(&["verify", &raw_key]).succeeded().contains("true"));
        let token = keys(&["derive-token", &raw_key, "-q"]);
        keys(&["verify", token.succeeded().trim()]).succeeded();
        keys(&["self-revoke", &raw_key]).succeeded();
        assert_eq!(keys(&["verify", &raw_key]).code, Some(1));
        let (other, _) = foreign_keys().remove(2);
        let lines = format!("{}\n", json!({"raw_key": other, "name": "b", "actor_id": "a"}));
        let arguments = ["keys", "imported", "batch-import", "--file", "-"];
        talos_with_input(server.address, &arguments, &lines).succeeded();
        keys(&["verify", &other]).succeeded();
        server.stop();
    }
}
