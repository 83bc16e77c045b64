//! A verification reads a record from disk while the key is revoked. The old record must not get
//! back into the cell.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use talos_model::{
    AdminToken, BulkRevocation, KeyKind, ListQuery, Mode, Page, RecordKey, SecretUses, ShardId,
};

use super::*;
use crate::storage::{InMemory, RecordReader, RequestEntry, ScanPage, StorageError};

/// Storage with nothing in memory, whose disk reads stop before they return the record.
struct Gate {
    reader: Arc<dyn RecordReader>,
    has_read: Sender<()>,
    go_on: crossbeam::channel::Receiver<()>,
}

impl RecordReader for Gate {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let there = self.reader.read(key)?.is_some();
        Ok(if there {
            InMemory::Unknown
        } else {
            InMemory::Absent
        })
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let row = self.reader.read(key);
        // The committing thread reads, too; only disk threads are stopped.
        if thread::current()
            .name()
            .is_some_and(|name| name.starts_with("talos-disk"))
        {
            self.has_read.send(()).expect("the test waits");
            self.go_on.recv().expect("the test opens the gate");
        }
        row
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
        let records = self.reader.read_all(shard, keys);
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
    /// Waits until a read has its records and stops.
    pub(super) fn wait_for_read(&self) {
        self.has_read.recv().expect("a read");
    }
}

pub(super) fn gated() -> Gated {
    let scratch = tempfile::tempdir().unwrap();
    let (has_read, read_done) = channel();
    let (open_gate, go_on) = crossbeam::channel::unbounded();
    let wrap = move |reader| {
        Arc::new(Gate {
            reader,
            has_read,
            go_on,
        }) as Arc<dyn RecordReader>
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
    let VerifyStep::Pending(pending) = gated
        .engine
        .verify(&query(credential, cache), owned_verdict)
    else {
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
fn the_old_record_never_comes_back() {
    for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
        let gated = gated();
        let (key_id, credential) = issue_new(&gated.engine, "a");
        let slow = begin(&gated, &credential, mode);
        revoke(&gated.engine, key_id).expect("revoked while the read is under way");
        gated.go_on.send(()).unwrap();
        let loaded = slow.recv().unwrap();
        let answer = gated
            .engine
            .finish(&query(&credential, mode), loaded, owned_verdict)
            .0;
        if mode != CacheMode::Bypass {
            // The slow verification began before the revocation was acknowledged, so either answer
            // would be right. The cell has the newer one.
            assert_eq!(answer, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
        }
        gated.go_on.send(()).unwrap();
        let (after, _) = verify(&gated.engine, &credential, CacheMode::Use);
        assert_eq!(after, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
        gated.go_on.send(()).unwrap();
        let (after, _) = verify(&gated.engine, &credential, CacheMode::Refresh);
        assert_eq!(after, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
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
    // The newer record arrives first, the older one last.
    for loaded in [after.recv().unwrap(), before.recv().unwrap()] {
        let answer = gated
            .engine
            .finish(&query(&credential, CacheMode::Use), loaded, owned_verdict)
            .0;
        assert_eq!(answer, OwnedVerdict::Refused(Refusal::Revoked));
    }
    assert_eq!(
        verify(&gated.engine, &credential, CacheMode::Use),
        (OwnedVerdict::Refused(Refusal::Revoked), CacheStatus::Hit)
    );
}
