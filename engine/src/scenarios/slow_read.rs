//! A verification that reads a row from disk while that row is revoked: the old row must not come back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use talos_model::{KeyKind, ListQuery, Mode, Page, RecordKey, Rule, ShardId};

use super::*;
use crate::storage::{InMemory, Rows, StorageError, Stretch};

/// Storage with nothing in memory, whose reads from disk stop between having the row and returning it.
struct Gate {
    rows: Arc<dyn Rows>,
    has_read: Sender<()>,
    go_on: crossbeam::channel::Receiver<()>,
}

impl Rows for Gate {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let there = self.rows.read(key)?.is_some();
        Ok(if there {
            InMemory::Unknown
        } else {
            InMemory::Absent
        })
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let row = self.rows.read(key);
        // The committer reads too; only disk threads are held.
        if thread::current()
            .name()
            .is_some_and(|name| name.starts_with("talos-disk"))
        {
            self.has_read.send(()).expect("the test waits");
            self.go_on.recv().expect("the test opens the gate");
        }
        row
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
        self.rows.scan(shard, tenant, after, limit, wanted)
    }

    fn rules(&self) -> Result<Vec<Rule>, StorageError> {
        self.rows.rules()
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        let records = self.rows.read_all(shard, keys);
        self.has_read.send(()).expect("the test waits");
        self.go_on.recv().expect("the test opens the gate");
        records
    }
}

pub(super) struct Gated {
    pub(super) engine: Arc<Engine>,
    has_read: Receiver<()>,
    pub(super) go_on: crossbeam::channel::Sender<()>,
    _scratch: tempfile::TempDir,
}

impl Gated {
    /// Until a read has its rows and stops.
    pub(super) fn wait_for_read(&self) {
        self.has_read.recv().expect("a read");
    }
}

pub(super) fn gated() -> Gated {
    let scratch = tempfile::tempdir().unwrap();
    let (has_read, read_done) = channel();
    let (open_gate, go_on) = crossbeam::channel::unbounded();
    let wrap = move |rows| {
        Arc::new(Gate {
            rows,
            has_read,
            go_on,
        }) as Arc<dyn Rows>
    };
    let engine = Engine::open_with(options(scratch.path()), Mode::Primary, wrap, |journal| {
        journal
    })
    .unwrap();
    Gated {
        engine,
        has_read: read_done,
        go_on: open_gate,
        _scratch: scratch,
    }
}

pub(super) fn begin(gated: &Gated, credential: &str, cache: CacheMode) -> Receiver<crate::Loaded> {
    let Step::Pending(pending) = gated.engine.verify(&query(credential, cache), said) else {
        panic!("nothing to read");
    };
    let (sender, receiver) = channel();
    gated.engine.read(pending, move |loaded| {
        sender.send(loaded).expect("a receiver");
    });
    gated.has_read.recv().expect("the row has been read");
    receiver
}

#[test]
fn the_old_row_never_comes_back() {
    for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
        let gated = gated();
        let (key_id, credential) = issue_new(&gated.engine, "a");
        let slow = begin(&gated, &credential, mode);
        revoke(&gated.engine, key_id).expect("revoked while the read is under way");
        gated.go_on.send(()).unwrap();
        let loaded = slow.recv().unwrap();
        let answer = gated
            .engine
            .finish(&query(&credential, mode), loaded, said)
            .0;
        if mode != CacheMode::Bypass {
            // The slow verification began before the revocation was acknowledged, so either answer would be right; the
            // cell knows better than the row.
            assert_eq!(answer, Said::Refused(Refusal::Revoked), "{mode:?}");
        }
        gated.go_on.send(()).unwrap();
        let (after, _) = verify(&gated.engine, &credential, CacheMode::Use);
        assert_eq!(after, Said::Refused(Refusal::Revoked), "{mode:?}");
        gated.go_on.send(()).unwrap();
        let (after, _) = verify(&gated.engine, &credential, CacheMode::Refresh);
        assert_eq!(after, Said::Refused(Refusal::Revoked), "{mode:?}");
    }
}

#[test]
fn two_slow_reads_of_one_key_agree_with_the_revocation_between_them() {
    let gated = gated();
    let (key_id, credential) = issue_new(&gated.engine, "a");
    let before = begin(&gated, &credential, CacheMode::Use);
    revoke(&gated.engine, key_id).unwrap();
    let after = begin(&gated, &credential, CacheMode::Refresh);
    gated.go_on.send(()).unwrap();
    gated.go_on.send(()).unwrap();
    // The newer row is settled first, the older one last.
    for loaded in [after.recv().unwrap(), before.recv().unwrap()] {
        let answer = gated
            .engine
            .finish(&query(&credential, CacheMode::Use), loaded, said)
            .0;
        assert_eq!(answer, Said::Refused(Refusal::Revoked));
    }
    assert_eq!(
        verify(&gated.engine, &credential, CacheMode::Use),
        (Said::Refused(Refusal::Revoked), CacheStatus::Hit)
    );
}
