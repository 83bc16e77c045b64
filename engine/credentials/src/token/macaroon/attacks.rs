//! Attacks on macaroons, all of which must fail.

use talos_model::cidr::Cidr;

use crate::token::claims::tests::{custom, sample};
use crate::token::macaroon::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn keys() -> RootKeys {
    RootKeys::new(&secret("current"), [&secret("retired")])
}

fn token() -> String {
    mint(&keys(), "mc", &sample()).unwrap()
}

/// The token with any `caveat` appended, as macaroon libraries do it.
fn with(token: &str, caveat: &[u8]) -> String {
    let mut macaroon = Macaroon::parse(token).unwrap();
    macaroon.packets.signature = hmac(&macaroon.packets.signature, caveat);
    macaroon.packets.caveats.push(caveat.to_vec());
    macaroon.to_token().unwrap()
}

fn changed(token: &str, change: impl FnOnce(&mut Packets)) -> Result<Claims, TokenFault> {
    let mut macaroon = Macaroon::parse(token).unwrap();
    change(&mut macaroon.packets);
    verify(&keys(), &macaroon.to_token().unwrap())
}

fn scopes(names: &[&str]) -> Narrowing {
    let scopes = names.iter().map(|&name| name.to_owned()).collect();
    Narrowing {
        scopes: Some(scopes),
        ..Narrowing::default()
    }
}

#[test]
fn minted_macaroons_verify_with_current_and_retired_secrets() {
    assert_eq!(verify(&keys(), &token()), Ok(sample()));
    for (current, retired, expected) in [
        ("new", "current", Ok(sample())),
        ("new", "other", Err(TokenFault::SignatureInvalid)),
    ] {
        let keys = RootKeys::new(&secret(current), [&secret(retired)]);
        assert_eq!(verify(&keys, &token()), expected);
    }
    assert_eq!(format!("{:?}", keys()), "RootKeys(…, 1 retired)");
}

#[test]
fn prefixes_may_look_like_the_version() {
    for prefix in ["m", "a_v1_b", "_v1_", "mc_v1_Ag", "_v1__v1_"] {
        let token = mint(&keys(), prefix, &sample()).unwrap();
        assert_eq!(Macaroon::parse(&token).unwrap().prefix(), prefix);
        assert_eq!(verify(&keys(), &token), Ok(sample()));
    }
    for prefix in ["", "ninechars"] {
        let token = mint(&keys(), prefix, &sample()).unwrap();
        assert_eq!(verify(&keys(), &token), Err(TokenFault::InvalidFormat));
    }
}

#[test]
fn narrowing_adds_up_offline() {
    let once = attenuate(&token(), &scopes(&["read"])).unwrap();
    let caveat = Narrowing {
        expires_at_s: Some(1_750_000_900),
        not_before_s: Some(1_750_000_100),
        allowed_cidrs: Some(vec!["10.1.0.0/16".parse::<Cidr>().unwrap()]),
        ..Narrowing::default()
    };
    let twice = attenuate(&once, &caveat).unwrap();
    let claims = verify(&keys(), &twice).unwrap();
    let expected = Claims {
        scopes: vec!["read".to_owned()],
        expires_at_s: 1_750_000_900,
        not_before_s: 1_750_000_100,
        allowed_cidrs: vec!["10.1.0.0/16".parse().unwrap()],
        ..sample()
    };
    assert_eq!(claims, expected);
    // A later caveat cannot give back what an earlier one took away.
    for widening in [scopes(&["write"]), scopes(&["read", "write"])] {
        assert_eq!(attenuate(&twice, &widening), Err(MintError::NotNarrowing));
    }
    let nothing = Narrowing::default();
    assert_eq!(attenuate(&twice, &nothing), Err(MintError::NotNarrowing));
    assert_eq!(
        attenuate("mc_v1_x", &scopes(&[])),
        Err(MintError::NotAMacaroon)
    );
}

#[test]
fn caveats_that_widen_or_are_unknown_fail_the_whole_macaroon() {
    let narrowed = with(&token(), br#"{"scp":["read"]}"#);
    for caveat in [
        r#"{"scp":["read","write"]}"#,
        r#"{"exp":1750003601,"scp":["write"]}"#,
        r#"{"acl":["0.0.0.0/0"]}"#,
        r#"{"acl":[]}"#,
        r#"{"aud":["x"]}"#,
        r#"{"oid":"root"}"#,
        r#"{"exp":1,"exp":1750003600}"#,
        "{}",
        "",
        "user = root",
        "\0",
    ] {
        let fault = verify(&keys(), &with(&narrowed, caveat.as_bytes()));
        assert_eq!(fault, Err(TokenFault::CaveatRefused), "{caveat}");
    }
    // A second caveat with claims is an unknown caveat.
    let claims = sample().to_json(TokenType::Macaroon).unwrap();
    let fault = verify(&keys(), &with(&narrowed, claims.as_bytes()));
    assert_eq!(fault, Err(TokenFault::CaveatRefused));
}

/// A later time cannot lengthen what an earlier caveat has cut short.
#[test]
fn caveats_with_weaker_times_change_nothing() {
    let narrowed = with(&token(), br#"{"exp":1750000900,"nbf":1750000100}"#);
    let claims = verify(&keys(), &narrowed).unwrap();
    let mut weakened = narrowed;
    for caveat in [
        r#"{"exp":1750003601}"#,
        r#"{"nbf":1}"#,
        r#"{"nbf":1750000099}"#,
        r#"{"exp":1750000900,"nbf":1750000100}"#,
    ] {
        weakened = with(&weakened, caveat.as_bytes());
        assert_eq!(verify(&keys(), &weakened).as_ref(), Ok(&claims), "{caveat}");
    }
}

#[test]
fn caveats_cannot_be_removed_changed_or_reordered() {
    let token = with(&token(), br#"{"scp":["read"]}"#);
    let token = with(&token, br#"{"exp":1750001000}"#);
    assert!(verify(&keys(), &token).is_ok());
    let changes: [fn(&mut Packets); 7] = [
        |packets| drop(packets.caveats.pop()),
        |packets| drop(packets.caveats.remove(1)),
        |packets| drop(packets.caveats.remove(0)),
        |packets| packets.caveats.swap(1, 2),
        |packets| packets.caveats.swap(0, 1),
        |packets| packets.caveats[1] = br#"{"scp":["read","write"]}"#.to_vec(),
        |packets| packets.identifier[0] ^= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let fault = changed(&token, change);
        assert_eq!(fault, Err(TokenFault::SignatureInvalid), "{number}");
    }
    for bit in 0..256 {
        let fault = changed(&token, |packets| {
            packets.signature[bit / 8] ^= 1 << (bit % 8);
        });
        assert_eq!(fault, Err(TokenFault::SignatureInvalid), "{bit}");
    }
}

/// No signature covers the location, as in every macaroon library, and nothing relies on it.
#[test]
fn the_location_is_ignored() {
    let moved = changed(&token(), |packets| packets.location = None);
    assert_eq!(moved, Ok(sample()));
}

#[test]
fn the_identifier_must_be_that_of_the_claims() {
    let mut claims = sample();
    let caveats = vec![claims.to_json(TokenType::Macaroon).unwrap().into_bytes()];
    claims.token_id = "another".to_owned();
    let identifier = b"another".to_vec();
    let packets = Packets {
        location: None,
        signature: keys().current.chain(&identifier, &caveats),
        identifier,
        caveats,
    };
    let prefix = "mc".to_owned();
    let token = Macaroon { prefix, packets }.to_token().unwrap();
    assert_eq!(verify(&keys(), &token), Err(TokenFault::InvalidFormat));
}

#[test]
fn third_party_caveats_are_refused() {
    let token = token();
    let body = token.strip_prefix("mc_v1_").unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
    let caveat = b"\x01\x01l\x02\x01c\x04\x01v\x00";
    let at = bytes.len() - 35;
    bytes.splice(at..at, *caveat);
    let token = format!("mc_v1_{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(verify(&keys(), &token), Err(TokenFault::CaveatRefused));
}

#[test]
fn counts_and_sizes_are_bounded() {
    let mut token = token();
    for _ in 1..MACAROON_CAVEATS {
        token = attenuate(&token, &scopes(&["read"])).unwrap();
    }
    assert!(verify(&keys(), &token).is_ok());
    let one_more = attenuate(&token, &scopes(&["read"]));
    assert_eq!(one_more, Err(MintError::BeyondBounds));
    let one_more = with(&token, br#"{"scp":["read"]}"#);
    assert_eq!(verify(&keys(), &one_more), Err(TokenFault::InvalidFormat));

    let long = Claims {
        custom: custom(serde_json::json!({"filler": "x".repeat(8000)})),
        ..sample()
    };
    let minted = mint(&keys(), "mc", &long);
    assert!(matches!(minted, Err(MintError::TooLong { .. })));
    let caveats = vec![long.to_json(TokenType::Macaroon).unwrap().into_bytes()];
    let identifier = long.token_id.clone().into_bytes();
    let packets = Packets {
        location: None,
        signature: keys().current.chain(&identifier, &caveats),
        identifier,
        caveats,
    };
    for text in [
        format!("mc_v1_{}", URL_SAFE_NO_PAD.encode(wire::encode(&packets))),
        format!("mc_v1_{}", "A".repeat(1 << 20)),
        "_v1_".repeat(1 << 18),
    ] {
        assert_eq!(verify(&keys(), &text), Err(TokenFault::InvalidFormat));
    }
}

#[test]
fn a_macaroon_has_one_spelling() {
    let token = token();
    for changed in [
        format!("{token}="),
        format!("{token}A"),
        format!("{token}AAAA"),
        format!("{token}\n"),
        format!(" {token}"),
        token.replace("_v1_", "_v2_"),
        token.replacen("mc_v1_", "", 1),
        "mc_v1_".to_owned(),
        String::new(),
    ] {
        assert!(verify(&keys(), &changed).is_err(), "{changed:?}");
    }
    // Only the prefix and the location, which come first, may change.
    let location_end = "mc_v1_".len() + (3 + "https://talos.example".len()) * 8 / 6;
    for at in location_end..token.len() {
        for with in ["A", "z", "-", "="] {
            let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                assert!(verify(&keys(), &changed).is_err(), "{at} {with}");
            }
        }
    }
}
