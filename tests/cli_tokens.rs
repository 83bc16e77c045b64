//! Inspecting credentials and narrowing macaroons, without a server.

use std::net::TcpListener;

use serde_json::{Value, json};
use talos_credentials::imported_key_id;
use talos_credentials::issued::{ChecksumKey, make};
use talos_credentials::token::{Claims, CustomClaims, RootKeys, SigningKeys, jwt, macaroon};
use talos_model::clock::{self, UnixMillis};
use talos_model::{Secret, TenantId, Visibility};

use crate::harness::cli::{Ran, talos_with_input};

const KEY: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
const HOUR_S: i64 = 3600;

fn secret() -> Secret {
    Secret::new("a secret that no command knows".to_owned())
}

fn root_keys() -> RootKeys {
    RootKeys::new(&secret(), [])
}

/// Claims that expire an hour from now.
fn claims() -> Claims {
    let now_s = clock::now().seconds();
    Claims {
        issuer: "https://talos.example".to_owned(),
        key_id: KEY.parse().unwrap(),
        issued_at_s: now_s,
        not_before_s: now_s,
        expires_at_s: now_s + HOUR_S,
        token_id: "t1".to_owned(),
        tenant: TenantId::SINGLE,
        actor_id: "user_1".to_owned(),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        metadata: r#"{"team":"payments"}"#.to_owned(),
        visibility: Visibility::Secret,
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        audiences: vec!["https://api.example".to_owned()],
        custom: CustomClaims::new(
            json!({"role": "viewer\u{1b}[31m"})
                .as_object()
                .unwrap()
                .clone(),
        ),
    }
}

fn macaroon() -> String {
    macaroon::mint(&root_keys(), "mc", &claims()).unwrap()
}

fn signed(claims: &Claims) -> String {
    // The private key of RFC 8037 appendix A.1.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let keys = SigningKeys::from_jwk_sets([jwk]).unwrap();
    jwt::sign(keys.signing_key(None).unwrap(), claims).unwrap()
}

/// Runs a command with the address of a listener, and asserts that it did not connect.
fn offline(arguments: &[&str], input: &str) -> Ran {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = talos_with_input(listener.local_addr().unwrap(), arguments, input);
    listener.set_nonblocking(true).unwrap();
    let connected = listener.accept();
    assert!(
        connected.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "{arguments:?} connected to the server"
    );
    ran
}

fn inspected(credential: &str) -> Value {
    offline(&["token", "inspect", credential, "--format", "json"], "").json()
}

/// Asserts that the list of what was not checked contains these words.
#[track_caller]
fn assert_not_checked(report: &Value, words: &[&str]) {
    let all = report["not_checked"].to_string();
    for word in words {
        assert!(all.contains(word), "{word}: {all}");
    }
}

#[test]
fn an_issued_key_shows_its_time_and_its_kind() {
    let checksum_key = ChecksumKey::new(&secret());
    let uuid = KEY.parse::<talos_model::KeyId>().unwrap();
    let talos_model::KeyId::Issued(uuid) = uuid else {
        panic!("not a uuid");
    };
    let key = make("ory_ak", UnixMillis(1_750_000_000_000), uuid, &checksum_key);
    let report = inspected(key.expose());
    assert_eq!(report["shape"], "issued_key");
    assert_eq!(report["prefix"], "ory_ak");
    assert_eq!(report["issue_time"], "2025-06-15T15:06:40Z");
    assert_eq!(report["key_id"], KEY);
    assert_not_checked(&report, &["checksum", "revocation", "address"]);
    assert!(!report.to_string().contains(key.expose()));
}

#[test]
fn anything_else_is_an_imported_key_whose_id_is_its_digest() {
    let report = inspected("sk_live_abc");
    let id = imported_key_id(TenantId::SINGLE, b"sk_live_abc").to_string();
    assert_eq!(report["shape"], "imported_key");
    assert_eq!(report["key_id"], id.as_str());
    assert!(report.get("remark").is_none());
    assert_not_checked(&report, &["imported", "tenant"]);
    assert!(!report.to_string().contains("sk_live_abc"));

    let quiet = offline(&["token", "inspect", "-", "-q"], "sk_live_abc\n");
    assert_eq!(quiet.succeeded(), format!("{id}\n"));
    assert!(inspected("ory_ak_v1_abc")["remark"].is_string());
}

#[test]
fn a_jwt_shows_header_claims_and_expiry() {
    let token = signed(&claims());
    let report = inspected(&token);
    assert_eq!(report["shape"], "jwt");
    assert_eq!(
        report["header"],
        json!({"alg": "EdDSA", "kid": "k1", "typ": "JWT"})
    );
    assert_eq!(report["claims"]["oid"], "user_1");
    assert_eq!(report["key_id"], KEY);
    let validity = report["validity"].as_str().unwrap();
    assert!(validity.starts_with("expires in "), "{validity}");
    assert_not_checked(&report, &["signature", "revocation", "audience", "address"]);
    let signature = token.rsplit('.').next().unwrap();
    assert!(!report.to_string().contains(signature));

    let expired = Claims {
        expires_at_s: claims().not_before_s - 3 * 24 * HOUR_S,
        ..claims()
    };
    assert_eq!(
        inspected(&signed(&expired))["validity"],
        "expired 3 days ago"
    );
}

#[test]
fn a_table_has_a_line_for_everything_and_cannot_steer_the_terminal() {
    let token = signed(&claims());
    let table = offline(&["token", "inspect", "-"], &format!("{token}\n"));
    let lines: Vec<&str> = table.succeeded().lines().collect();
    for name in [
        "shape ",
        "header.kid ",
        "claims.oid ",
        "validity ",
        "not_checked.0 ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(name)),
            "{name}: {lines:#?}"
        );
    }
    let role = lines
        .iter()
        .find(|line| line.starts_with("claims.role "))
        .unwrap();
    assert!(role.ends_with(r"viewer\u{1b}[31m"), "{role}");
}

#[test]
fn a_token_that_every_server_refuses_is_a_failure() {
    // {"alg":"none"} and {"sub":"x"}
    let foreign = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
    for (credential, shape) in [
        (foreign, "jwt"),
        ("eyJ.b.c", "jwt"),
        ("mc_v1_AgEB", "macaroon"),
    ] {
        let ran = offline(&["token", "inspect", credential, "--format", "json"], "");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &report["shape"]), (Some(1), &json!(shape)));
        assert!(report["problem"].is_string(), "{report}");
    }
    let long = "x".repeat(8193);
    for credential in ["", long.as_str()] {
        let ran = offline(&["token", "inspect", credential], "");
        ran.assert_one_line_and_code_1(&["1 to 8192"]);
    }
}

#[test]
fn a_narrowed_macaroon_verifies_and_shows_each_caveat() {
    let narrow = |token: &str, flags: &[&str]| {
        let line = [&["macaroon", "attenuate", "-"], flags].concat();
        let ran = offline(&line, &format!("{token}\n"));
        ran.succeeded().strip_suffix('\n').unwrap().to_owned()
    };
    let before_s = clock::now().seconds();
    let token = macaroon();
    let once = narrow(&token, &["--scopes", "read"]);
    let twice = narrow(
        &once,
        &["--ttl", "10m", "--cidrs", "10.1.0.0/16,10.2.0.0/16"],
    );
    let after_s = clock::now().seconds();

    let claims = macaroon::verify(&root_keys(), &twice).unwrap();
    assert_eq!(claims.scopes, ["read"]);
    assert!((before_s + 600..=after_s + 600).contains(&claims.expires_at_s));
    let blocks: Vec<String> = claims
        .allowed_cidrs
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(blocks, ["10.1.0.0/16", "10.2.0.0/16"]);

    let report = inspected(&twice);
    assert_eq!(report["shape"], "macaroon");
    assert_eq!(report["prefix"], "mc");
    assert_eq!(report["identifier"], "t1");
    assert_eq!(report["claims"]["scp"], json!(["read", "write"]));
    let caveats = report["caveats"].as_array().unwrap();
    assert_eq!(caveats.len(), 2);
    assert_eq!(caveats[0], json!({"scp": ["read"]}));
    assert_eq!(report["result"]["scopes"], json!(["read"]));
    assert_eq!(report["result"]["allowed_cidrs"], json!(blocks));
    assert_eq!(report["result"]["expire_time"], report["expire_time"]);
    assert_not_checked(&report, &["signature", "revocation", "address", "prefix"]);
    assert_eq!(inspected(&token)["caveats"], json!([]));
}

#[test]
fn a_widening_is_an_error_that_names_its_flag() {
    let token = macaroon();
    for (flags, words) in [
        (
            ["--scopes", "read,admin"],
            ["--scopes would widen", "read, write only"],
        ),
        (
            ["--cidrs", "0.0.0.0/0"],
            ["--cidrs would widen", "10.0.0.0/8 only"],
        ),
    ] {
        let line = [&["macaroon", "attenuate", token.as_str()], &flags[..]].concat();
        offline(&line, "").assert_one_line_and_code_1(&words);
    }
    let bare = offline(&["macaroon", "attenuate", &token], "");
    assert_eq!((bare.code, bare.stdout.as_str()), (Some(2), ""));
    let jwt = signed(&claims());
    for other in [jwt.as_str(), "sk_live_abc"] {
        offline(&["macaroon", "attenuate", other, "--ttl", "1m"], "")
            .assert_one_line_and_code_1(&["not a macaroon"]);
    }
}

/// The holder asks for more time than is left: the macaroon still ends when it would have.
#[test]
fn a_longer_time_changes_nothing() {
    let token = macaroon();
    let before = macaroon::verify(&root_keys(), &token).unwrap();
    for flags in [&["--ttl", "2h"][..], &["--ttl", "10y", "--scopes", "read"]] {
        let line = [&["macaroon", "attenuate", token.as_str()], flags].concat();
        let ran = offline(&line, "");
        let narrowed = ran.succeeded().trim_end();
        let claims = macaroon::verify(&root_keys(), narrowed).unwrap();
        assert_eq!(claims.expires_at_s, before.expires_at_s);
        assert!(ran.stderr.contains("--ttl changes nothing"), "{ran:?}");
        assert_eq!(
            inspected(narrowed)["expire_time"],
            inspected(&token)["expire_time"]
        );
    }
    let line = ["macaroon", "attenuate", &token, "--ttl", "59m"];
    assert_eq!(offline(&line, "").stderr, "");
}

/// The command names the first caveat that is refused.
#[test]
fn a_widened_macaroon_shows_the_offending_caveat() {
    let widened = append(
        &append(&macaroon(), br#"{"scp":["read"]}"#),
        br#"{"scp":["write"]}"#,
    );
    let ran = offline(&["token", "inspect", &widened, "--format", "json"], "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let problem = report["problem"].as_str().unwrap();
    assert!(problem.starts_with("caveats.1 "), "{problem}");
    assert!(report.get("result").is_none());
}

/// The macaroon with one more caveat before its signature: field 2, its length, the text, the end
/// of the section. The signature stays as it was, because the inspection does not check it.
fn append(token: &str, caveat: &[u8]) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    const SIGNATURE_BYTES: usize = 1 + 1 + 32;
    let mut bytes = URL_SAFE_NO_PAD
        .decode(token.strip_prefix("mc_v1_").unwrap())
        .unwrap();
    // Caveats end with one more end of section; then comes the signature.
    let at = bytes.len() - SIGNATURE_BYTES - 1;
    let section = [&[2, u8::try_from(caveat.len()).unwrap()], caveat, &[0]].concat();
    bytes.splice(at..at, section);
    format!("mc_v1_{}", URL_SAFE_NO_PAD.encode(bytes))
}
