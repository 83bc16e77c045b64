//! JSON Web Tokens: a signed token is accepted, an altered one is rejected, and a signed text has
//! one reading.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use talos_credentials::token::jwt::{self, Jwt};
use talos_credentials::token::{Claims, SigningKeys, TokenType};
use talos_fuzz::claims::AnyClaims;
use talos_fuzz::edits::{Edit, edited};
use talos_model::limits::CREDENTIAL_BYTES;

const SEED: [u8; 32] = [1; 32];
/// The key of the JOSE cookbook, RFC 7520 §3.4.
const RSA: &str = include_str!(
    "../../engine/credentials/src/token/vectors/jose-cookbook/3_4.rsa_private_key.json"
);

static KEYS: LazyLock<SigningKeys> = LazyLock::new(|| {
    let ours = okp(SEED, "ours").to_string();
    let other = okp([2; 32], "other").to_string();
    SigningKeys::from_jwk_sets([ours.as_str(), &other, RSA]).expect("keys")
});
/// Tokens of each key, for exchanging their parts.
static TOKENS: LazyLock<Vec<[String; 3]>> = LazyLock::new(|| {
    let claims = r#"{"iss":"i","sub":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","iat":1,"nbf":1,"exp":9,"jti":"j","nid":"00000000-0000-0000-0000-000000000000","oid":"o","tty":"jwt"}"#;
    let claims = Claims::from_json(claims.as_bytes(), TokenType::Jwt).expect("claims");
    let later = Claims {
        expires_at_s: 10,
        ..claims.clone()
    };
    let kids = ["ours", "other", "bilbo.baggins@hobbiton.example"];
    let tokens = kids.iter().flat_map(|kid| {
        let key = KEYS.signing_key(Some(kid)).expect("a key");
        [&claims, &later].map(|claims| jwt::sign(key, claims).expect("a token"))
    });
    tokens
        .map(|token| {
            let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
            parts.try_into().expect("three parts")
        })
        .collect()
});

fn okp(seed: [u8; 32], kid: &str) -> Value {
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    json!({
        "kty": "OKP", "crv": "Ed25519", "kid": kid,
        "d": URL_SAFE_NO_PAD.encode(seed), "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
    })
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a str,
    claims: AnyClaims,
    edits: Vec<Edit>,
    pick: [u8; 3],
    header: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    payload_edits: Vec<Edit>,
}

fuzz_target!(|input: Input<'_>| {
    is_looked_at(input.raw);
    let claims = &input.claims.0;
    let key = KEYS.signing_key(Some("ours")).expect("a key");
    if let Ok(token) = jwt::sign(key, claims) {
        assert_eq!(jwt::verify(&KEYS, &token).as_ref(), Ok(claims));
        is_looked_at(&token);
        let altered = edited(token.as_bytes(), &input.edits);
        if let Ok(altered) = std::str::from_utf8(&altered) {
            assert!(
                altered == token || jwt::verify(&KEYS, altered).is_err(),
                "{altered}"
            );
        }
    }

    let [header, payload, signature] = input.pick.map(|n| usize::from(n) % TOKENS.len());
    let mixed = [
        &TOKENS[header][0],
        &TOKENS[payload][1],
        &TOKENS[signature][2],
    ];
    let mixed = mixed.map(String::as_str).join(".");
    let same = |part: usize, index: usize| TOKENS[index][part] == TOKENS[signature][part];
    let is_whole = same(0, header) && same(1, payload);
    assert_eq!(jwt::verify(&KEYS, &mixed).is_ok(), is_whole);

    let good_header = br#"{"alg":"EdDSA","kid":"ours","typ":"JWT"}"#;
    let good_payload = claims.to_json(TokenType::Jwt).unwrap_or_default();
    let payload = edited(
        input.payload.unwrap_or(good_payload.as_bytes()),
        &input.payload_edits,
    );
    is_read_in_one_way(input.header.unwrap_or(good_header), &payload);
});

/// Checks that an accepted token has three parts, each with one spelling.
fn is_looked_at(token: &str) {
    let Ok(parsed) = Jwt::parse(token) else {
        return;
    };
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    for (part, members) in parts.iter().zip([parsed.header(), parsed.payload()]) {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        assert_eq!(URL_SAFE_NO_PAD.encode(&bytes), *part);
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(value.as_object(), Some(members));
    }
    let _ = parsed.unverified_claims();
}

/// Signs any two texts. If the result is accepted, its claims are those that `serde_json` reads.
fn is_read_in_one_way(header: &[u8], payload: &[u8]) {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    let unverified = Jwt::parse(&token).and_then(|jwt| jwt.unverified_claims());
    let Ok(claims) = jwt::verify(&KEYS, &token) else {
        let header: Option<Value> = serde_json::from_slice(header).ok();
        let is_ours =
            header.is_some_and(|header| header["alg"] == "EdDSA" && header["kid"] == "ours");
        assert!(
            !is_ours || unverified.is_err(),
            "signed, well formed, and refused"
        );
        return;
    };
    assert!(token.len() <= CREDENTIAL_BYTES);
    let header: Value = serde_json::from_slice(header).expect("JSON");
    assert_eq!(header, json!({"alg": "EdDSA", "kid": "ours", "typ": "JWT"}));
    let value: Value = serde_json::from_slice(payload).expect("JSON");
    let texts = |name: &str| match &value[name] {
        Value::Null => json!([]),
        Value::String(text) => json!([text]),
        texts => texts.clone(),
    };
    assert_eq!(value["tty"], "jwt");
    assert_eq!(value["iss"], claims.issuer.as_str());
    assert_eq!(value["sub"], claims.key_id.to_string());
    assert_eq!(value["nid"], claims.tenant.to_string());
    assert_eq!(value["oid"], claims.actor_id.as_str());
    assert_eq!(value["jti"], claims.token_id.as_str());
    for (name, seconds) in [
        ("iat", claims.issued_at_s),
        ("nbf", claims.not_before_s),
        ("exp", claims.expires_at_s),
    ] {
        assert_eq!(value[name], seconds);
    }
    assert_eq!(texts("scp"), json!(claims.scopes));
    assert_eq!(texts("aud"), json!(claims.audiences));
    assert_eq!(
        texts("acl").as_array().map(Vec::len),
        Some(claims.allowed_cidrs.len())
    );
    for (name, custom) in claims.custom.as_map() {
        assert_eq!(value[name], *custom);
    }
    assert_eq!(unverified.as_ref(), Ok(&claims));
    // Accepted claims can be written, and read again to the same claims.
    let text = claims
        .to_json(TokenType::Jwt)
        .expect("claims that were accepted");
    assert_eq!(
        Claims::from_json(text.as_bytes(), TokenType::Jwt),
        Ok(claims)
    );
}
