//! A small engine: its options, the usual commands, and calls that wait for their answers. A test
//! that needs other options names them in a struct update:
//! `Options { shards: Some(4), ..options(path) }`.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use talos_credentials::{Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings};
use talos_engine::{Engine, LastUsedOptions, Options, Retention, VerifyStep};
use talos_model::{
    Answer, CacheMode, Command, CommandError, IssueKey, KeyId, Outcome, Query, Record,
    RevocationReason, RevokeKey, Secret, TenantId, Visibility, clock,
};

/// The current HMAC secret of [`keyring_settings`].
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Options with small caches and the answers that the server gives.
pub fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        shards: None,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 128 << 20,
        table_memory: talos_engine::TableMemory::Beside,
        cache_bytes: 1 << 20,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: 2,
        tenants: tenants(Keyring::new(keyring_settings())),
        render: talos_api::verify::render_valid,
        render_token: talos_api::verify::render_valid_token,
    }
}

/// The only tenant, with this keyring.
pub fn tenants(keyring: Keyring) -> Vec<Arc<Tenant>> {
    vec![Arc::new(Tenant::new(TenantId::SINGLE, keyring, 300))]
}

/// Changes the settings of the only tenant.
pub fn change_tenant(engine: &Engine, change: impl FnOnce(&mut Tenant)) {
    let tenant = engine.tenant(TenantId::SINGLE).expect("the only tenant");
    let mut tenant = Tenant::clone(&tenant);
    change(&mut tenant);
    engine.set_tenants(vec![Arc::new(tenant)]);
}

/// One secret, the prefix `talos`, no key to sign JWTs with, no tolerance for clocks that differ.
pub fn keyring_settings() -> KeyringSettings {
    KeyringSettings {
        hmac_current: Secret::new(SECRET.to_owned()),
        hmac_retired: Vec::new(),
        prefixes: prefixes("talos"),
        issuer: "http://localhost:4420".to_owned(),
        max_ttl_s: 365 * 24 * 3600,
        clock_skew_s: 0,
        tokens: TokenSettings::default(),
    }
}

/// This prefix for secret keys, and none for public ones.
pub fn prefixes(current: &str) -> Prefixes {
    Prefixes {
        current: current.to_owned(),
        retired: Vec::new(),
        public_current: None,
        public_retired: Vec::new(),
    }
}

/// The request to issue a secret key of this name that does not expire.
pub fn new_key(name: &str) -> IssueKey {
    IssueKey {
        tenant: TenantId::SINGLE,
        name: name.to_owned(),
        actor_id: "actor".to_owned(),
        scopes: vec!["read".to_owned()],
        metadata: String::new(),
        visibility: Visibility::Secret,
        ttl_ms: None,
        rate_limit: None,
        allowed_cidrs: Vec::new(),
        request_id: None,
    }
}

/// Runs one command and waits for its outcome.
pub fn run(engine: &Engine, command: Command) -> Result<Outcome, CommandError> {
    let (sender, receiver) = channel();
    engine.submit(command, move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome")
}

/// Issues a key; its record and its credential.
#[track_caller]
pub fn issue(engine: &Engine, key: IssueKey) -> (Record, String) {
    match run(engine, Command::Issue(key)) {
        Ok(Outcome::Issued {
            record,
            secret: Some(secret),
        }) => (record, secret.expose().to_owned()),
        other => panic!("not issued: {other:?}"),
    }
}

/// The command that revokes a key.
pub fn revocation(key_id: KeyId, reason: RevocationReason) -> Command {
    Command::Revoke(RevokeKey {
        tenant: TenantId::SINGLE,
        key_id,
        reason,
        description: String::new(),
    })
}

/// The query that verifies a credential now, from an unknown address and for no audience.
#[inline]
pub fn query(credential: &str, cache: CacheMode) -> Query<'_> {
    Query {
        tenant: TenantId::SINGLE,
        credential: credential.as_bytes(),
        expected_audiences: &[],
        client_ip: None,
        cache,
        now: clock::now(),
    }
}

/// Verifies a credential, waiting for the disk if need be, and returns what `read` makes of the
/// answer.
#[inline]
pub fn verify<T>(engine: &Engine, query: &Query<'_>, read: impl Fn(Answer<'_>) -> T) -> T {
    match engine.verify(query, &read) {
        VerifyStep::Answered(answer) => answer,
        VerifyStep::Pending(pending) => {
            let (sender, receiver) = channel();
            engine.read(pending, move |loaded| {
                sender.send(loaded).expect("a receiver");
            });
            engine.finish(query, receiver.recv().expect("a record"), &read)
        }
    }
}
