//! Macaroons: a minted macaroon is accepted, an altered one is rejected, and caveats that a holder
//! appends only narrow it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use talos_credentials::token::macaroon::{attenuate, mint, verify};
use talos_credentials::token::{Claims, Macaroon, Narrowing, RootKeys, TokenType};
use talos_fuzz::claims::{AnyClaims, any_cidrs, any_seconds};
use talos_fuzz::edits::{Edit, edited};
use talos_fuzz::macaroon::Parts;
use talos_model::Secret;
use talos_model::limits::{CREDENTIAL_BYTES, MACAROON_CAVEATS};

const SECRET: &str = "a secret of the length that is asked for";
/// 9999-12-31T23:59:59Z, the latest time in claims.
const SECONDS_MAX: i64 = 253_402_300_799;
const PREFIXES: [&str; 4] = ["mc", "_", "a_v1_b", "12345678"];

static KEYS: LazyLock<RootKeys> =
    LazyLock::new(|| RootKeys::new(&Secret::new(SECRET.to_owned()), []));
static LATER_KEYS: LazyLock<RootKeys> = LazyLock::new(|| {
    let retired = Secret::new(SECRET.to_owned());
    RootKeys::new(&Secret::new("the next".to_owned()), [&retired])
});
static FOREIGN_KEYS: LazyLock<RootKeys> =
    LazyLock::new(|| RootKeys::new(&Secret::new("foreign".to_owned()), []));

#[derive(Arbitrary, Debug)]
struct Input {
    raw: String,
    prefix: u8,
    claims: AnyClaims,
    appended: Vec<Caveat>,
    narrowing: AnyNarrowing,
    edits: Vec<Edit>,
    first: Option<Vec<u8>>,
}

/// A caveat that a holder can append: mostly one that could narrow the token.
#[derive(Arbitrary, Debug)]
enum Caveat {
    Narrowing(AnyNarrowing),
    Altered(AnyNarrowing, Vec<Edit>),
    Bytes(Vec<u8>),
}

#[derive(Debug)]
struct AnyNarrowing(Narrowing);

impl<'a> Arbitrary<'a> for AnyNarrowing {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (mut narrowing, members) = (Narrowing::default(), u.arbitrary::<u8>()?);
        let has = |bit: u8| members & (1 << bit) != 0;
        if has(0) {
            narrowing.expires_at_s = Some(any_seconds(u)?);
        }
        if has(1) {
            narrowing.not_before_s = Some(any_seconds(u)?);
        }
        if has(2) {
            narrowing.scopes = Some(u.arbitrary()?);
        }
        if has(3) {
            narrowing.allowed_cidrs = Some(any_cidrs(u)?);
        }
        Ok(Self(narrowing))
    }
}

impl Caveat {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Narrowing(narrowing) => narrowing.0.to_json().into_bytes(),
            Self::Altered(narrowing, edits) => edited(narrowing.0.to_json().as_bytes(), edits),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

fuzz_target!(|input: Input| {
    has_one_spelling(&input.raw);
    let prefix = PREFIXES[usize::from(input.prefix) % PREFIXES.len()];
    let claims = input.claims.0;
    if let Some(first) = input.first {
        first_caveat_is_read_as_it_stands(&first, &claims, prefix);
    }
    let Ok(token) = mint(&KEYS, prefix, &claims) else {
        return;
    };
    for keys in [&*KEYS, &*LATER_KEYS] {
        assert_eq!(verify(keys, &token).as_ref(), Ok(&claims));
    }
    assert!(verify(&FOREIGN_KEYS, &token).is_err());
    let caveat = claims
        .to_json(TokenType::Macaroon)
        .expect("what was minted");
    let mut parts = Parts::signed(
        SECRET,
        Some(claims.issuer.clone().into_bytes()),
        claims.token_id.clone().into_bytes(),
        vec![caveat.into_bytes()],
    );
    assert_eq!(token, parts.token(prefix));

    // Prefix and location are not signed. Nothing else may change.
    let altered = edited(token.as_bytes(), &input.edits);
    if let Ok(altered) = std::str::from_utf8(&altered)
        && let Ok(read) = verify(&KEYS, altered)
    {
        assert_eq!(read, claims, "{token} {altered}");
    }

    narrow(&token, &claims, &input.narrowing.0);
    for caveat in &input.appended {
        parts.append(caveat.bytes());
        let token = parts.token(prefix);
        let Ok(narrowed) = verify(&KEYS, &token) else {
            // Later caveats cannot repair it.
            parts.append(b"{\"scp\":[]}".to_vec());
            assert!(verify(&KEYS, &parts.token(prefix)).is_err());
            return;
        };
        assert_within(&narrowed, &claims);
        assert!(parts.caveats.len() <= MACAROON_CAVEATS && token.len() <= CREDENTIAL_BYTES);
    }
});

/// A macaroon that parses equals the one written from its parts.
fn has_one_spelling(token: &str) {
    let Ok(macaroon) = Macaroon::parse(token) else {
        return;
    };
    let body = token.strip_prefix(macaroon.prefix()).expect("its prefix");
    let parts = Parts {
        location: macaroon.location().map(<[u8]>::to_vec),
        identifier: macaroon.identifier().to_vec(),
        caveats: macaroon.caveats().map(<[u8]>::to_vec).collect(),
        signature: [0; 32],
    };
    // The 32 bytes of the signature are the last 43 characters and some bits of the character
    // before them.
    let unsigned = parts.token("");
    let same = unsigned.len() - 44;
    assert_eq!(
        (body.len(), &body[..same]),
        (unsigned.len(), &unsigned[..same])
    );
}

/// The issuer signs only its own claims. If it signed another text, the claims would be those that
/// every JSON reader reads.
fn first_caveat_is_read_as_it_stands(first: &[u8], claims: &Claims, prefix: &str) {
    let identifier = claims.token_id.clone().into_bytes();
    let token = Parts::signed(SECRET, None, identifier, vec![first.to_owned()]).token(prefix);
    let Ok(read) = verify(&KEYS, &token) else {
        return;
    };
    let value: Value = serde_json::from_slice(first).expect("JSON");
    assert_eq!(value["tty"], "macaroon");
    assert_eq!(value["iss"], read.issuer.as_str());
    assert_eq!(value["exp"], read.expires_at_s);
    assert_eq!(value["jti"], claims.token_id.as_str());
}

fn narrow(token: &str, claims: &Claims, narrowing: &Narrowing) {
    let Ok(narrowed) = attenuate(token, narrowing) else {
        return;
    };
    let read = verify(&KEYS, &narrowed).expect("what was narrowed is accepted");
    assert_within(&read, claims);
    let time = |wanted: Option<i64>, of: i64| wanted.map_or(of, |s| s.clamp(0, SECONDS_MAX));
    let wanted = Claims {
        expires_at_s: time(narrowing.expires_at_s, claims.expires_at_s).min(claims.expires_at_s),
        not_before_s: time(narrowing.not_before_s, claims.not_before_s).max(claims.not_before_s),
        scopes: narrowing.scopes.clone().unwrap_or(claims.scopes.clone()),
        allowed_cidrs: narrowing
            .allowed_cidrs
            .clone()
            .unwrap_or(claims.allowed_cidrs.clone()),
        ..claims.clone()
    };
    assert_eq!(read, wanted);
}

/// Checks that `outer` allows everything that `inner` allows, and that nothing else differs.
fn assert_within(inner: &Claims, outer: &Claims) {
    assert!(inner.expires_at_s <= outer.expires_at_s);
    assert!(inner.not_before_s >= outer.not_before_s);
    assert!(
        inner
            .scopes
            .iter()
            .all(|scope| outer.scopes.contains(scope))
    );
    if !outer.allowed_cidrs.is_empty() {
        assert!(
            !inner.allowed_cidrs.is_empty(),
            "an empty list stands for every address"
        );
        for block in &inner.allowed_cidrs {
            let (first, _) = block.parts();
            assert!(outer.allowed_cidrs.iter().any(|of| of.contains(first)));
        }
    }
    let same = Claims {
        expires_at_s: outer.expires_at_s,
        not_before_s: outer.not_before_s,
        scopes: outer.scopes.clone(),
        allowed_cidrs: outer.allowed_cidrs.clone(),
        ..inner.clone()
    };
    assert_eq!(same, *outer);
}
