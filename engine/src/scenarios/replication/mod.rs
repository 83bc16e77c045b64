//! Replication between two engines in one process, without a network.

mod backups;
mod copies;
mod crashes;
mod following;
mod log;
mod log_times;
mod promotion;
mod refusals;

use sha2::{Digest as _, Sha256};
use talos_model::{
    Author, CopyChunk, CopyCursor, CopyEnd, CopyName, CopyPlace, CreateAdminToken, DeleteKey,
    Epoch, FieldChanges, FollowError, ImportKey, Leadership, LogRead, LoggedChange, Mode, Position,
    Proof, ReadError, ReadLimits, RevokeAdminToken, Role, RotateAdminToken, RotateKey, Sequence,
    TokenDigest, UpdateKey,
};

use super::model::files::copy_of_one_moment;
use super::*;
use crate::Snapshot;
use crate::storage::{COUNTS, INDEX};

/// A primary and a replica in scratch directories, with different numbers of shards.
struct Pair {
    primary: Arc<Engine>,
    replica: Arc<Engine>,
    scratch: tempfile::TempDir,
}

const FEW: ReadLimits = ReadLimits {
    entries: 3,
    bytes: 1 << 20,
};

/// Opens a database with its own number of shards.
fn open_as(path: &Path, mode: Mode) -> Result<Arc<Engine>, OpenError> {
    let options = Options {
        shards: None,
        ..options(path)
    };
    Engine::open_as(options, mode)
}

pub(super) fn open_replica(path: &Path) -> Arc<Engine> {
    open_as(path, Mode::Replica).expect("a database")
}

pub(super) fn open_primary(path: &Path) -> Arc<Engine> {
    open_as(path, Mode::Primary).expect("a database")
}

impl Pair {
    fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let replica = Options {
            shards: Some(1),
            ..options(&scratch.path().join("replica"))
        };
        let pair = Self {
            primary: open(&scratch.path().join("primary")),
            replica: Engine::open_as(replica, Mode::Replica).expect("a database"),
            scratch,
        };
        pair.replica
            .adopt(pair.primary.standing().epochs)
            .expect("an empty node follows any primary");
        pair
    }

    fn feed(&self) {
        feed(&self.primary, &self.replica);
    }

    /// A copy of the replica's directory, as a crash at this moment would leave it.
    fn crashed_replica(&self, name: &str) -> std::path::PathBuf {
        let copy = self.scratch.path().join(name);
        copy_of_one_moment(&self.scratch.path().join("replica"), &copy);
        copy
    }
}

/// The next changes for a node that holds the changes up to `after`.
fn next(primary: &Engine, after: Position) -> Option<Vec<LoggedChange>> {
    match primary.changes_after(after, FEW).expect("a log") {
        LogRead::Changes(changes) => Some(changes),
        LogRead::None => None,
        LogRead::Gone => panic!("change {after:?} is not in the log"),
    }
}

pub(super) fn all_after(primary: &Engine, mut after: Position) -> Vec<LoggedChange> {
    let mut all = Vec::new();
    while let Some(changes) = next(primary, after) {
        after = changes.last().expect("at least one").position;
        all.extend(changes);
    }
    all
}

pub(super) fn feed(primary: &Engine, replica: &Engine) {
    while let Some(changes) = next(primary, replica.committed()) {
        let last = changes.last().expect("at least one").position;
        assert_eq!(replica.apply(changes), Ok(last));
        assert_eq!(replica.committed(), last);
    }
}

fn imported(raw: &str) -> KeyId {
    talos_credentials::imported_key_id(TenantId::SINGLE, raw.as_bytes())
}

fn import(engine: &Engine, raw: &str, request_id: Option<&str>) -> KeyId {
    let key_id = imported(raw);
    let key = key(raw);
    let import = ImportKey { key_id, key };
    let import = match request_id {
        Some(id) => import_with_id(id, import),
        None => import,
    };
    submit(engine, Command::Import(import)).expect("an imported key");
    key_id
}

fn delete(engine: &Engine, key_id: KeyId) {
    let tenant = TenantId::SINGLE;
    submit(engine, Command::Delete(DeleteKey { tenant, key_id })).expect("a deleted key");
}

fn rename(engine: &Engine, key_id: KeyId, name: &str) {
    let changes = FieldChanges {
        name: Some(name.to_owned()),
        ..FieldChanges::default()
    };
    let tenant = TenantId::SINGLE;
    let update = UpdateKey {
        tenant,
        key_id,
        changes,
    };
    submit(engine, Command::Update(update)).expect("a changed key");
}

/// Makes changes of all kinds, some of which depend on others.
fn make_changes_of_all_kinds(engine: &Engine, name: &str) {
    let (kept, _) = issue_new(engine, &format!("{name}-kept"));
    let (revoked, _) = issue_new(engine, &format!("{name}-revoked"));
    revoke(engine, revoked).expect("a revoked key");
    let (rotated, _) = issue_new(engine, &format!("{name}-rotated"));
    let rotate = RotateKey {
        tenant: TenantId::SINGLE,
        key_id: rotated,
        changes: FieldChanges::default(),
        visibility: None,
    };
    submit(engine, Command::Rotate(rotate)).expect("a rotated key");
    rename(engine, kept, &format!("{name}-renamed"));
    import(engine, &format!("{name}-imported"), Some(name));
    let deleted = import(engine, &format!("{name}-deleted"), None);
    let revoked = import(engine, &format!("{name}-revoked"), None);
    revoke(engine, revoked).expect("a revoked key");
    delete(engine, deleted);
    delete(engine, revoked);
    issue(engine, elsewhere(&format!("{name}-elsewhere"), "elsewhere"));
    change_admin_tokens(engine, name);
}

/// The request of this id for a key of another tenant.
fn elsewhere(request_id: &str, name: &str) -> IssueKey {
    let request = IssueKey {
        tenant: TenantId(uuid::Uuid::from_u128(7)),
        ttl_ms: Some(1_000_000),
        ..key(name)
    };
    with_id(request_id, request)
}

/// Creates, rotates and revokes admin tokens, each as an administrator.
fn change_admin_tokens(engine: &Engine, name: &str) {
    let execute = |command: Command| {
        let author = Author {
            name: format!("{name}-author"),
            proof: Proof::Token,
            address: None,
        };
        let (sender, receiver) = channel();
        engine.submit_as(Some(author), command, move |outcome| {
            sender.send(outcome).expect("a receiver");
        });
        match receiver.recv().expect("an outcome") {
            Ok(Outcome::AdminToken(token)) => token.id,
            other => panic!("{other:?}"),
        }
    };
    let digest = |text: &str| TokenDigest(Sha256::digest(format!("{name}-{text}")).into());
    let create = |text: &str| {
        execute(Command::CreateAdminToken(CreateAdminToken {
            name: format!("{name}-{text}"),
            digest: digest(text),
            role: Role::Operate,
            tenant: None,
            ttl_ms: Some(1_000_000),
        }))
    };
    create("kept");
    let rotated = create("rotated");
    execute(Command::RotateAdminToken(RotateAdminToken {
        id: rotated,
        digest: digest("new"),
        ttl_ms: None,
    }));
    let id = create("revoked");
    execute(Command::RevokeAdminToken(RevokeAdminToken { id }));
}

/// Checks that two nodes hold the same records and the same data derived from them.
pub(super) fn assert_equal(one: &Engine, other: &Engine) {
    assert_eq!(one.state_hash().unwrap(), other.state_hash().unwrap());
    assert_eq!(one.admin_tokens().all(), other.admin_tokens().all());
    assert_eq!(one.secret_uses(), other.secret_uses());
    for family in [INDEX, COUNTS] {
        let [one, other] = [one, other].map(|node| node.store().dump(family));
        assert!(one == other, "{family} differs");
    }
    assert_eq!(one.committed(), other.committed());
    let [one, other] = [one, other].map(|node| node.logged(node.committed()).unwrap());
    assert_eq!(one, other, "what the last change says");
}

fn place(snapshot: &Snapshot) -> CopyPlace {
    CopyPlace {
        name: CopyName([9; 16]),
        position: snapshot.position(),
        digest: Some(5),
        cursor: CopyCursor::default(),
    }
}

/// Begins a copy from `snapshot`, a snapshot of `primary`.
pub(super) fn begin(primary: &Engine, snapshot: &Snapshot, replica: &Engine) {
    let known = primary.standing();
    let begun = replica.begin_copy(known.cluster, known.epochs, place(snapshot));
    assert_eq!(begun, Ok(()));
}

fn chunk_after(snapshot: &Snapshot, cursor: &CopyCursor) -> CopyChunk {
    snapshot.read(cursor, FEW).expect("rows")
}

/// Completes a copy that has begun.
pub(super) fn finish_copy(snapshot: &Snapshot, replica: &Engine) {
    while let Some(place) = replica.standing().copying {
        let chunk = chunk_after(snapshot, &place.cursor);
        assert_eq!(replica.install(place.name, chunk), Ok(()));
    }
}

fn refused(engine: &Engine, credential: &str, refusal: Refusal) {
    let verdict = verify(engine, credential, CacheMode::Use).0;
    assert_eq!(verdict, OwnedVerdict::Refused(refusal));
}
