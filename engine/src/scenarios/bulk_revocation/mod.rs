//! Bulk revocations: in force at once, while the records are rewritten one by one.

mod commands;
mod effect;
mod lists;
mod nodes;
mod races;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use talos_model::{
    AdminToken, BulkRevocation, KeyKind, ListQuery, Matcher, Mode, Page, RecordKey, RevokeWhere,
    SecretUses, ShardId,
};

use super::*;
use crate::storage::{InMemory, RecordReader, RequestEntry, ScanPage, StorageError};

const MODES: [CacheMode; 3] = [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass];

/// Storage with nothing in memory, whose reads block the catch-up thread until it is resumed.
struct PausedCatchUp {
    reader: Arc<dyn RecordReader>,
    resumed: Arc<AtomicBool>,
}

impl PausedCatchUp {
    fn wait(&self) {
        let is_catch_up = thread::current().name() == Some("talos-catch-up");
        while is_catch_up && !self.resumed.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl RecordReader for PausedCatchUp {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let is_there = self.reader.read(key)?.is_some();
        Ok(if is_there {
            InMemory::Unknown
        } else {
            InMemory::Absent
        })
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        self.reader.read(key)
    }

    fn request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RequestEntry>, StorageError> {
        self.reader.request(tenant, kind, request_id)
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.reader.live_keys(tenant)
    }

    fn list(
        &self,
        query: &ListQuery,
        aged: talos_model::clock::UnixMillis,
    ) -> Result<Page, StorageError> {
        self.wait();
        self.reader.list(query, aged)
    }

    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<ScanPage, StorageError> {
        self.wait();
        self.reader.scan(shard, tenant, after, limit, wanted)
    }

    fn bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StorageError> {
        self.reader.bulk_revocations()
    }

    fn admin_tokens(&self) -> Result<Vec<AdminToken>, StorageError> {
        self.reader.admin_tokens()
    }

    fn secret_uses(&self) -> Result<SecretUses, StorageError> {
        self.reader.secret_uses()
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        self.reader.read_all(shard, keys)
    }
}

/// An engine whose catch-up thread is paused: it rewrites no records until it is resumed.
struct PausedEngine {
    engine: Option<Arc<Engine>>,
    resumed: Arc<AtomicBool>,
}

impl PausedEngine {
    fn open(options: Options) -> Self {
        let resumed = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&resumed);
        let wrap = move |reader| {
            Arc::new(PausedCatchUp {
                reader,
                resumed: shared,
            }) as Arc<dyn RecordReader>
        };
        let engine = Engine::open_with(options, Mode::Primary, wrap, |journal| journal);
        Self {
            engine: Some(engine.expect("a database")),
            resumed,
        }
    }

    fn resume(&self) {
        self.resumed.store(true, Ordering::SeqCst);
    }

    /// Resumes the catch-up thread and waits until it has rewritten all records.
    fn finish_catch_up(&self) {
        self.resume();
        wait_for_records(self);
    }
}

impl Deref for PausedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.engine.as_ref().expect("an open engine")
    }
}

impl Drop for PausedEngine {
    fn drop(&mut self) {
        self.resume();
        self.engine = None;
    }
}

fn paused(path: &Path) -> PausedEngine {
    PausedEngine::open(options(path))
}

/// Waits until no bulk revocation is in force.
fn wait_for_records(engine: &Engine) {
    while engine.bulk_revocations_in_force() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

fn of_actor(actor_id: &str) -> Matcher {
    Matcher {
        actor_id: Some(actor_id.to_owned()),
        ..Matcher::default()
    }
}

fn with_scope(scope: &str) -> Matcher {
    Matcher {
        scope: Some(scope.to_owned()),
        ..Matcher::default()
    }
}

fn decision(matcher: Matcher) -> Command {
    Command::RevokeWhere(RevokeWhere {
        tenant: TenantId::SINGLE,
        matcher,
        reason: RevocationReason::KeyCompromise,
        description: String::new(),
    })
}

fn try_revoke_where(engine: &Engine, matcher: Matcher) -> Result<BulkRevocation, CommandError> {
    match submit(engine, decision(matcher))? {
        Outcome::RevokedWhere { bulk_revocation } => Ok(bulk_revocation),
        other => panic!("{other:?}"),
    }
}

fn revoke_where(engine: &Engine, matcher: Matcher) -> BulkRevocation {
    try_revoke_where(engine, matcher).expect("a bulk revocation")
}

fn key_of(actor_id: &str, scope: &str) -> IssueKey {
    IssueKey {
        actor_id: actor_id.to_owned(),
        scopes: vec![scope.to_owned()],
        ..key("a")
    }
}

/// Issues a key with this actor and scope. Returns its id and credential.
fn made(engine: &Engine, actor_id: &str, scope: &str) -> (KeyId, String) {
    let (record, secret) = issue(engine, key_of(actor_id, scope));
    (record.key_id, secret.expect("a credential"))
}

#[track_caller]
fn assert_revoked(engine: &Engine, credential: &str) {
    for mode in MODES {
        let verdict = verify(engine, credential, mode).0;
        assert_eq!(verdict, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
    }
}

#[track_caller]
fn assert_valid(engine: &Engine, credential: &str) {
    for mode in MODES {
        assert_eq!(verify(engine, credential, mode).0, valid("a"), "{mode:?}");
    }
}

/// Verifies the credential, so that its key is in a cell.
#[track_caller]
fn cache(engine: &Engine, credential: &str) {
    verify(engine, credential, CacheMode::Use);
    let known = verify(engine, credential, CacheMode::Use);
    assert_eq!(known, (valid("a"), CacheStatus::Hit));
}
