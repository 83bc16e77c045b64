//! The engine as a whole, on a real database in a scratch directory.

mod admin_tokens;
mod authors;
mod budget;
mod bulk_revocation;
mod changes;
mod failed_writes;
mod full_disk;
mod imports;
mod keyring_changes;
mod last_used;
mod last_used_deleted;
mod lifecycle;
mod lists;
mod many;
mod model;
mod positions;
mod rate_limits;
mod recovery;
mod replication;
mod request_ids;
mod secret_uses;
mod slow_read;
mod tenant_histories;
mod tokens;
mod warm_up;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use talos_credentials::{Enforcement, Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings};
use talos_model::{
    Answer, CacheMode, CacheStatus, Command, CommandError, ImportKey, IssueKey, KeyId, Outcome,
    Query, Record, Refusal, RequestDigest, RequestId, RevocationReason, RevokeKey, Secret,
    TenantId, Verdict, Visibility, clock,
};

use uuid::Uuid;

use crate::verifier::PendingRead;
use crate::{Engine, LastUsedOptions, OpenError, Options, Retention, VerifyStep};

/// The most snapshots at a time.
const SNAPSHOTS: usize = 2;

/// A verdict that owns its body and so outlives the cells' guard.
#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnedVerdict {
    Valid(String),
    Refused(Refusal),
}

fn keyring(secret: &str) -> Keyring {
    Keyring::new(keyring_settings(secret))
}

fn keyring_settings(secret: &str) -> KeyringSettings {
    KeyringSettings {
        hmac_current: Secret::new(secret.to_owned()),
        hmac_retired: Vec::new(),
        prefixes: Prefixes {
            current: "talos".to_owned(),
            retired: Vec::new(),
            public_current: None,
            public_retired: Vec::new(),
        },
        issuer: "issuer".to_owned(),
        max_ttl_s: 86_400,
        clock_skew_s: 0,
        tokens: TokenSettings::default(),
    }
}

/// The tenants of all scenarios.
const TENANTS: [TenantId; 6] = [
    TenantId::SINGLE,
    TenantId(Uuid::from_u128(1)),
    TenantId(Uuid::from_u128(7)),
    TenantId(Uuid::from_u128(9)),
    TenantId(Uuid::from_u128(0xffff_ffff)),
    TenantId(Uuid::from_u128(u128::MAX)),
];

/// [`TENANTS`], with the same keyring.
fn tenants(keyring: Keyring) -> Vec<Arc<Tenant>> {
    let first = Tenant::new(TenantId::SINGLE, keyring, 300);
    let with_id = |id| Tenant {
        id,
        ..first.clone()
    };
    TENANTS.map(with_id).map(Arc::new).into()
}

fn change_tenants(engine: &Engine, change: impl Fn(&mut Tenant)) {
    let changed = engine.tenants().into_iter().map(|tenant| {
        let mut tenant = Tenant::clone(&tenant);
        change(&mut tenant);
        Arc::new(tenant)
    });
    engine.set_tenants(changed.collect());
}

fn set_keyring(engine: &Engine, keyring: Keyring) {
    let keyring = Arc::new(keyring);
    change_tenants(engine, |tenant| tenant.keyring = Arc::clone(&keyring));
}

fn set_rate_limits(engine: &Engine, enforcement: Enforcement) {
    change_tenants(engine, |tenant| tenant.rate_limits = enforcement);
}

fn set_live_keys_max(engine: &Engine, live_keys_max: Option<u64>) {
    change_tenants(engine, |tenant| tenant.live_keys_max = live_keys_max);
}

fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        shards: Some(4),
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 128 << 20,
        table_memory: crate::TableMemory::Beside,
        cache_bytes: 1 << 20,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: SNAPSHOTS,
        tenants: tenants(keyring("first")),
        render: |record, issuer| format!("{}@{issuer}", record.name).into_bytes(),
        render_token: |claims| format!("token of {}", claims.actor_id).into_bytes(),
    }
}

fn open(path: &Path) -> Arc<Engine> {
    Engine::open(options(path)).expect("a database")
}

fn key(name: &str) -> IssueKey {
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

/// Gives a request for a key an id.
fn with_id(id: &str, key: IssueKey) -> IssueKey {
    let digest = key.request_digest(key.ttl_ms);
    let id = id.to_owned();
    IssueKey {
        request_id: Some(RequestId { id, digest }),
        ..key
    }
}

/// Gives an import an id.
fn import_with_id(id: &str, import: ImportKey) -> ImportKey {
    let ImportKey { key_id, key } = import;
    let mut key = with_id(id, key);
    if let Some(request) = &mut key.request_id {
        request.digest = std::mem::take(&mut request.digest).importing(key_id);
    }
    ImportKey { key_id, key }
}

fn submit(engine: &Engine, command: Command) -> Result<Outcome, CommandError> {
    let (sender, receiver) = channel();
    engine.submit(command, move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome")
}

/// Issues a key. Returns the record and, unless the request is a replay, the credential.
fn issue(engine: &Engine, key: IssueKey) -> (Record, Option<String>) {
    match submit(engine, Command::Issue(key)) {
        Ok(Outcome::Issued { record, secret }) => {
            (record, secret.map(|secret| secret.expose().to_owned()))
        }
        other => panic!("{other:?}"),
    }
}

fn issue_new(engine: &Engine, name: &str) -> (KeyId, String) {
    let (record, secret) = issue(engine, key(name));
    (record.key_id, secret.expect("a credential"))
}

fn revoke(engine: &Engine, key_id: KeyId) -> Result<Outcome, CommandError> {
    submit(engine, revocation(key_id))
}

fn revocation(key_id: KeyId) -> Command {
    let (tenant, reason) = (TenantId::SINGLE, RevocationReason::KeyCompromise);
    Command::Revoke(RevokeKey {
        tenant,
        key_id,
        reason,
        description: String::new(),
    })
}

fn get(engine: &Engine, key_id: KeyId) -> Option<Record> {
    let (sender, receiver) = channel();
    engine.get(TenantId::SINGLE, key_id, move |record| {
        sender.send(record).expect("a receiver");
    });
    receiver
        .recv()
        .expect("an answer")
        .expect("a readable record")
}

fn query(credential: &str, cache: CacheMode) -> Query<'_> {
    Query {
        tenant: TenantId::SINGLE,
        credential: credential.as_bytes(),
        expected_audiences: &[],
        client_ip: None,
        cache,
        now: clock::now(),
    }
}

fn owned_verdict(answer: Answer<'_>) -> (OwnedVerdict, CacheStatus) {
    let verdict = match answer.verdict {
        Verdict::Valid { body, .. } => {
            OwnedVerdict::Valid(String::from_utf8_lossy(body).into_owned())
        }
        Verdict::Limited { .. } => OwnedVerdict::Refused(Refusal::RateLimited),
        Verdict::Refused(refusal) => OwnedVerdict::Refused(refusal),
    };
    (verdict, answer.cache)
}

/// Answers the query; waits for the disk if necessary.
fn verify_query(engine: &Engine, query: &Query<'_>) -> (OwnedVerdict, CacheStatus) {
    match engine.verify(query, owned_verdict) {
        VerifyStep::Answered(answer) => answer,
        VerifyStep::Pending(pending) => read_and_finish(engine, query, pending),
    }
}

/// Reads the record from disk, then answers the query.
fn read_and_finish(
    engine: &Engine,
    query: &Query<'_>,
    pending: PendingRead,
) -> (OwnedVerdict, CacheStatus) {
    let (sender, receiver) = channel();
    engine.read(pending, move |loaded| {
        sender.send(loaded).expect("a receiver");
    });
    engine.finish(query, receiver.recv().expect("a record"), owned_verdict)
}

fn verify(engine: &Engine, credential: &str, cache: CacheMode) -> (OwnedVerdict, CacheStatus) {
    verify_query(engine, &query(credential, cache))
}

fn valid(name: &str) -> OwnedVerdict {
    OwnedVerdict::Valid(format!("{name}@issuer"))
}

fn open_error(path: &Path) -> OpenError {
    match Engine::open(options(path)) {
        Ok(_) => panic!("the database opened"),
        Err(error) => error,
    }
}
