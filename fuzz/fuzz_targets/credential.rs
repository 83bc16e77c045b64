//! Issued keys: a made key is recognised, has one spelling, and no altered one is accepted.
//! Verification, import and identification agree on the kind of every credential.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use talos_api::limits::RAW_KEY_BYTES;
use talos_credentials::issued::{ChecksumKey, IssuedKey, make};
use talos_credentials::shape::{self, Shape};
use talos_credentials::{
    Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings, imported_key_id,
};
use talos_engine::{Engine, LastUsedOptions, Options, Retention, VerifyStep};
use talos_fuzz::edits::{Edit, edited};
use talos_model::clock::UnixMillis;
use talos_model::limits::CREDENTIAL_BYTES;
use talos_model::{CacheMode, KeyId, Query, Refusal, Secret, TenantId, Verdict};
use uuid::Uuid;

const SECRET: &str = "a secret of the length that is asked for";
const PREFIXES: [&str; 5] = ["talos", "ory_ak", "_", "a_v1_b", "foreign"];
/// The prefixes that the engine accepts.
const ACCEPTED: [&str; 2] = ["talos", "ory_ak"];

static KEY: LazyLock<ChecksumKey> = LazyLock::new(|| key(SECRET));
static OTHER_KEY: LazyLock<ChecksumKey> =
    LazyLock::new(|| key("another secret of the same length, about"));
static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    // Nothing is written after opening, so the directory can be removed at once.
    Engine::open(Options {
        path: scratch.path().to_owned(),
        shards: Some(1),
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 128 << 20,
        table_memory: talos_engine::TableMemory::Beside,
        cache_bytes: 1 << 20,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: 1,
        tenants: tenants(Keyring::new(KeyringSettings {
            hmac_current: Secret::new(SECRET.to_owned()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: ACCEPTED[0].to_owned(),
                retired: vec![ACCEPTED[1].to_owned()],
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: "issuer".to_owned(),
            max_ttl_s: 86_400,
            clock_skew_s: 0,
            tokens: TokenSettings::default(),
        })),
        render: |_, _| b"valid".to_vec(),
        render_token: talos_api::verify::render_valid_token,
    })
    .expect("a database")
});

fn tenants(keyring: Keyring) -> Vec<Arc<Tenant>> {
    vec![Arc::new(Tenant::new(TenantId::SINGLE, keyring, 300))]
}

fn key(secret: &str) -> ChecksumKey {
    ChecksumKey::new(&Secret::new(secret.to_owned()))
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    prefix: u8,
    seconds: u32,
    uuid: u128,
    edits: Vec<Edit>,
}

fuzz_target!(
    // Opened in advance: on a busy disk that takes longer than one input may.
    init: {
        LazyLock::force(&ENGINE);
    },
    |input: Input<'_>| check(&input)
);

fn check(input: &Input<'_>) {
    has_one_spelling(input.raw);
    is_of_one_kind(input.raw);

    let prefix = PREFIXES[usize::from(input.prefix) % PREFIXES.len()];
    let (time, uuid) = (
        UnixMillis(i64::from(input.seconds) * 1000),
        Uuid::from_u128(input.uuid),
    );
    let made = make(prefix, time, uuid, &KEY);
    let made = made.expose().as_bytes();
    let parsed = IssuedKey::parse(made).expect("what is made is recognised");
    assert_eq!(
        (parsed.prefix, parsed.issue_time, parsed.uuid),
        (prefix.as_bytes(), time, uuid)
    );
    assert!(parsed.is_signed_by(&KEY) && !parsed.is_signed_by(&OTHER_KEY));
    is_of_one_kind(made);

    let altered = edited(made, &input.edits);
    if altered != made {
        let accepted = IssuedKey::parse(&altered).is_some_and(|key| key.is_signed_by(&KEY));
        assert!(!accepted, "an altered key passes");
        has_one_spelling(&altered);
        is_of_one_kind(&altered);
    }
}

/// A key that parses equals the key made from its parts, except for the checksum. Only one spelling
/// has a valid checksum.
fn has_one_spelling(credential: &[u8]) {
    let Some(parsed) = IssuedKey::parse(credential) else {
        return;
    };
    let Ok(prefix) = std::str::from_utf8(parsed.prefix) else {
        return;
    };
    let made = make(prefix, parsed.issue_time, parsed.uuid, &KEY);
    let made = made.expose().as_bytes();
    let signed = |text: &[u8]| text.iter().rposition(|&byte| byte == b'_');
    assert_eq!(
        credential[..=signed(credential).expect("an underscore")],
        made[..=signed(made).expect("an underscore")],
    );
    assert_eq!(parsed.is_signed_by(&KEY), credential == made);
}

/// Import accepts only credentials that verification treats as imported keys.
fn is_of_one_kind(credential: &[u8]) {
    let query = Query {
        tenant: TenantId::SINGLE,
        credential,
        expected_audiences: &[],
        client_ip: None,
        cache: CacheMode::Use,
        now: UnixMillis(1_000),
    };
    let refused = ENGINE.verify(&query, |answer| {
        matches!(answer.verdict, Verdict::Refused(_))
    });
    assert!(
        matches!(refused, VerifyStep::Answered(true)),
        "there are no keys"
    );

    let identified = ENGINE.identify(&query);
    let tenant = ENGINE.tenant(TenantId::SINGLE).expect("the tenant");
    let keyring = &tenant.keyring;
    let shape = shape::of(credential, &keyring.tokens().macaroon_prefixes);
    let imported = imported_key_id(TenantId::SINGLE, credential);
    let expected = match &shape {
        _ if !(1..=CREDENTIAL_BYTES).contains(&credential.len()) => Err(Refusal::InvalidFormat),
        // The engine has made no tokens, so what looks like one can only be an imported key.
        Shape::Token(_) | Shape::Other => Ok(imported),
        Shape::Issued(key) => {
            assert_eq!(IssuedKey::parse(credential).as_ref(), Some(key));
            let is_ours = ACCEPTED.iter().any(|known| known.as_bytes() == key.prefix);
            if is_ours && key.is_signed_by(&KEY) {
                Ok(KeyId::Issued(key.uuid))
            } else {
                Err(Refusal::NotFound)
            }
        }
    };
    assert_eq!(identified, expected);

    let Ok(raw_key) = std::str::from_utf8(credential) else {
        return;
    };
    let body = serde_json::json!({"raw_key": raw_key, "name": "n", "actor_id": "a"}).to_string();
    let body = body.as_bytes();
    match talos_api::import::parse_request(body, TenantId::SINGLE, None, keyring) {
        Ok(import) => {
            assert_eq!(Ok(import.key_id), identified);
            assert_eq!(keyring.own_kind(credential), None);
        }
        Err(error) => {
            let expected = if raw_key.is_empty() || raw_key.len() > RAW_KEY_BYTES {
                400
            } else {
                assert!(keyring.own_kind(credential).is_some());
                409
            };
            assert_eq!(error.status(), expected, "{error}");
        }
    }
}
