//! Tokens that `PyJWT` 2.15.1 and pymacaroons 0.13.0 made from the same claims; ours must be
//! identical. `SOURCES.md` says how they were made.

use serde_json::{Value, json};
use talos_model::Secret;

use crate::token::claims::tests::sample;
use crate::token::vectors::read;
use crate::token::{Narrowing, RootKeys, SigningKeys, jwt, macaroon};

fn agrees(mut jwk: Value, kid: &str, token: &str) {
    jwk["kid"] = kid.into();
    let keys = SigningKeys::from_jwk_sets([jwk.to_string().as_str()]).unwrap();
    let token = token.trim_end();
    assert_eq!(jwt::verify(&keys, token), Ok(sample()));
    let made = jwt::sign(keys.signing_key(None).unwrap(), &sample());
    assert_eq!(made.as_deref(), Ok(token));
    // A client that has only the published set verifies it, too.
    let published = keys.public_set().to_string();
    let published = SigningKeys::from_jwk_sets([published.as_str()]).unwrap();
    assert_eq!(jwt::verify(&published, token), Ok(sample()));
}

#[test]
fn pyjwt_with_ed25519() {
    let example = read(include_str!("jose-cookbook/curve25519_jws.json"));
    let token = include_str!("other_libraries/pyjwt_eddsa.txt");
    agrees(example["input"]["key"].clone(), "ed-1", token);
}

#[test]
fn pyjwt_with_rsa() {
    let key = read(include_str!("jose-cookbook/3_4.rsa_private_key.json"));
    let token = include_str!("other_libraries/pyjwt_rs256.txt");
    agrees(key, "bilbo.baggins@hobbiton.example", token);
}

#[test]
fn pymacaroons() {
    let mut tokens = include_str!("other_libraries/pymacaroons.txt").lines();
    let (plain, narrowed) = (tokens.next().unwrap(), tokens.next().unwrap());
    let secret = Secret::new("0123456789abcdef0123456789abcdef".to_owned());
    let keys = RootKeys::new(&secret, []);
    assert_eq!(macaroon::mint(&keys, "mc", &sample()).as_deref(), Ok(plain));
    assert_eq!(macaroon::verify(&keys, plain), Ok(sample()));

    let caveat = json!({"exp": 1_750_001_000, "scp": ["read"]}).to_string();
    let narrowing = Narrowing::parse(caveat.as_bytes()).unwrap();
    assert_eq!(
        macaroon::attenuate(plain, &narrowing).as_deref(),
        Ok(narrowed)
    );
    let mut claims = sample();
    narrowing.apply(&mut claims).unwrap();
    assert_eq!(macaroon::verify(&keys, narrowed), Ok(claims));
}
