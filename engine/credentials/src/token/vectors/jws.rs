//! Signature and key vectors of Wycheproof and of the JOSE cookbook (RFC 7520, RFC 8037 appendix
//! A).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::token::jws::{self, Signed};
use crate::token::vectors::{items, read};
use crate::token::{SigningKeys, TokenFault};

/// Whether the keys parse and verify the token.
fn is_accepted(keys: &Value, token: &str) -> bool {
    SigningKeys::from_jwk_sets([keys.to_string().as_str()])
        .is_ok_and(|keys| jws::verify(&keys, token).is_ok())
}

fn keys_of(group: &Value) -> &Value {
    match &group["public"] {
        Value::Null => &group["private"],
        public => public,
    }
}

/// Of the algorithms in the vectors this system supports only RS256. It refuses all other
/// signatures, valid or not.
#[test]
fn wycheproof_signatures() {
    let file = read(include_str!("wycheproof/json_web_signature_test.json"));
    let (mut accepted, mut refused) = (0, 0);
    for group in items(&file["testGroups"]) {
        let keys = keys_of(group);
        for test in items(&group["tests"]) {
            let expected = test["result"] == "valid" && keys["alg"] == "RS256";
            let is_accepted = is_accepted(keys, test["jws"].as_str().unwrap());
            assert_eq!(is_accepted, expected, "{test}");
            accepted += usize::from(is_accepted);
            refused += usize::from(!is_accepted);
        }
    }
    assert_eq!((accepted, refused), (8, 393));
}

/// Agrees with all vectors but one: a weak modulus of a faulty generator (CVE-2017-15361) cannot be
/// recognised by its form.
#[test]
fn wycheproof_keys() {
    let file = read(include_str!("wycheproof/json_web_key_test.json"));
    let mut rsa = 0;
    for group in items(&file["testGroups"]) {
        let keys = keys_of(group);
        for test in items(&group["tests"]) {
            let is_rsa = keys["keys"][0]["kty"] == "RSA";
            let expected =
                is_rsa && (test["result"] == "valid" || group["comment"] == "jws_rsa_roca_key");
            let is_accepted = is_accepted(keys, test["jws"].as_str().unwrap());
            assert_eq!(is_accepted, expected, "{}: {test}", group["comment"]);
            rsa += usize::from(is_rsa);
        }
    }
    assert_eq!(rsa, 6);
}

fn cookbook(text: &str) -> (Value, String) {
    let example = read(text);
    let token = example["output"]["compact"].as_str().unwrap().to_owned();
    (example, token)
}

#[test]
fn the_cookbooks_rsa_signature() {
    let (example, token) = cookbook(include_str!("jose-cookbook/4_1.rsa_v15_signature.json"));
    let public = read(include_str!("jose-cookbook/3_3.rsa_public_key.json"));
    let private = read(include_str!("jose-cookbook/3_4.rsa_private_key.json"));
    for keys in [public, private] {
        let keys = SigningKeys::from_jwk_sets([keys.to_string().as_str()]).unwrap();
        let Signed {
            payload,
            media_type,
        } = jws::verify(&keys, &token).unwrap();
        assert_eq!(
            payload,
            example["input"]["payload"].as_str().unwrap().as_bytes()
        );
        assert_eq!(media_type, None);
    }
}

/// The example has no `kid`, without which no key is found. The test therefore checks the signature
/// separately.
#[test]
fn the_cookbooks_ed25519_signature() {
    let (example, token) = cookbook(include_str!("jose-cookbook/curve25519_jws.json"));
    let key = example["input"]["key"].to_string();
    let keys = SigningKeys::from_jwk_sets([key.as_str()]).unwrap();
    assert_eq!(
        jws::verify(&keys, &token).map(|signed| signed.payload),
        Err(TokenFault::InvalidFormat)
    );
    let (signed, expected) = token.rsplit_once('.').unwrap();
    let key = keys.signing_key(None).unwrap();
    let signature = key.sign(signed.as_bytes()).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), expected);
    // RFC 8037 appendix A.3.
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let mut public = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"});
    public["kid"] = key.kid().into();
    public["x"] = example["input"]["key"]["x"].clone();
    assert_eq!(keys.public_set(), json!({"keys": [public]}));
}
