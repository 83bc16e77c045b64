//! Revocations of many keys: in force at once, then followed by the records one by one.

mod commands;
mod effect;
mod lists;
mod nodes;
mod races;

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use talos_model::{KeyKind, ListQuery, Matcher, Mode, Page, RecordKey, RevokeWhere, Rule, ShardId};

use super::*;
use crate::storage::{InMemory, Rows, StorageError, Stretch};

const MODES: [CacheMode; 3] = [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass];

/// Storage with nothing in memory, in which the thread that has records follow rules finds nothing to read before it is let go.
struct Held {
    rows: Arc<dyn Rows>,
    let_go: Arc<AtomicBool>,
}

impl Held {
    fn wait(&self) {
        let is_catch_up = thread::current().name() == Some("talos-catch-up");
        while is_catch_up && !self.let_go.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Rows for Held {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let is_there = self.rows.read(key)?.is_some();
        Ok(if is_there {
            InMemory::Unknown
        } else {
            InMemory::Absent
        })
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        self.rows.read(key)
    }

    fn key_of_request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RecordKey>, StorageError> {
        self.rows.key_of_request(tenant, kind, request_id)
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.rows.live_keys(tenant)
    }

    fn list(&self, query: &ListQuery) -> Result<Page, StorageError> {
        self.wait();
        self.rows.list(query)
    }

    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Stretch, StorageError> {
        self.wait();
        self.rows.scan(shard, tenant, after, limit, wanted)
    }

    fn rules(&self) -> Result<Vec<Rule>, StorageError> {
        self.rows.rules()
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        self.rows.read_all(shard, keys)
    }
}

/// An engine whose records follow rules only when they are told to.
struct HeldEngine {
    engine: Option<Arc<Engine>>,
    let_go: Arc<AtomicBool>,
}

impl HeldEngine {
    fn open(options: Options) -> Self {
        let let_go = Arc::new(AtomicBool::new(false));
        let held = Arc::clone(&let_go);
        let wrap = move |rows| Arc::new(Held { rows, let_go: held }) as Arc<dyn Rows>;
        let engine = Engine::open_with(options, Mode::Primary, wrap, |journal| journal);
        Self {
            engine: Some(engine.expect("a database")),
            let_go,
        }
    }

    fn let_go(&self) {
        self.let_go.store(true, Ordering::SeqCst);
    }

    /// Until the records have followed.
    fn follow(&self) {
        self.let_go();
        wait_for_records(self);
    }
}

impl Deref for HeldEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.engine.as_ref().expect("an open engine")
    }
}

impl Drop for HeldEngine {
    fn drop(&mut self) {
        self.let_go();
        self.engine = None;
    }
}

fn held(path: &Path) -> HeldEngine {
    HeldEngine::open(options(path))
}

/// Until no rule is in force any more.
fn wait_for_records(engine: &Engine) {
    while engine.rules_in_force() > 0 {
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

fn try_revoke_where(engine: &Engine, matcher: Matcher) -> Result<Rule, CommandError> {
    match submit(engine, decision(matcher))? {
        Outcome::RevokedWhere { rule } => Ok(rule),
        other => panic!("{other:?}"),
    }
}

fn revoke_where(engine: &Engine, matcher: Matcher) -> Rule {
    try_revoke_where(engine, matcher).expect("a rule")
}

fn key_of(actor_id: &str, scope: &str) -> IssueKey {
    IssueKey {
        actor_id: actor_id.to_owned(),
        scopes: vec![scope.to_owned()],
        ..key("a")
    }
}

/// A key of this actor and scope, and its credential.
fn made(engine: &Engine, actor_id: &str, scope: &str) -> (KeyId, String) {
    let (record, secret) = issue(engine, key_of(actor_id, scope));
    (record.key_id, secret.expect("a credential"))
}

#[track_caller]
fn assert_revoked(engine: &Engine, credential: &str) {
    for mode in MODES {
        let said = verify(engine, credential, mode).0;
        assert_eq!(said, Said::Refused(Refusal::Revoked), "{mode:?}");
    }
}

#[track_caller]
fn assert_valid(engine: &Engine, credential: &str) {
    for mode in MODES {
        assert_eq!(verify(engine, credential, mode).0, valid("a"), "{mode:?}");
    }
}

/// Puts the answer into a cell.
#[track_caller]
fn cache(engine: &Engine, credential: &str) {
    verify(engine, credential, CacheMode::Use);
    let known = verify(engine, credential, CacheMode::Use);
    assert_eq!(known, (valid("a"), CacheStatus::Hit));
}
