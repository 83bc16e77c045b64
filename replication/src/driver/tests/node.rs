//! A test node: the simulation's storage behind a lock, with the drivers on top.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use talos_model::{
    Acceptance, CopyCursor, CopyName, CopyPlace, Epoch, EpochHistory, Position, Sequence,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::driver::primary::{Primary, PrimaryHandle, PrimaryNode, PrimarySettings, PrimaryStatus};
use crate::driver::replica::{
    Replica, ReplicaHandle, ReplicaSettings, ReplicaStatus, StoppedReplica,
};
use crate::handshake::Identity;
use crate::ids::{ClusterId, NodeId};
use crate::message::{Batch, Chunk, LastUsed};
use crate::secret::{Secrets, SharedSecret};
use crate::simulation::store::{KeyName, Op, Store, Sync};
use crate::sink::{ChangeSink, SinkError};
use crate::source::{ChangeSource, CopyOpening, CopyReading, Looked, Reading, SourceError};

/// A timeout far longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const MAX_STALENESS_MS: u64 = 1500;

/// Called before storage applies changes.
type Hook = Arc<dyn Fn() -> Result<(), SinkError> + Send + std::marker::Sync>;

#[derive(Clone)]
pub struct Node {
    store: Arc<Mutex<Store>>,
    committed: watch::Sender<Position>,
    pub replaced: watch::Sender<Option<Epoch>>,
    pub used: watch::Sender<Vec<LastUsed>>,
    pub before_apply: Hook,
    number: u8,
    secrets: [u8; 2],
}

fn secret(byte: u8) -> SharedSecret {
    SharedSecret::new(&[byte; 32]).unwrap()
}

impl Node {
    pub fn new(number: u8) -> Self {
        let store = Store::new(u64::from(number), Sync::Always);
        Self {
            committed: watch::Sender::new(store.committed().unwrap()),
            store: Arc::new(Mutex::new(store)),
            replaced: watch::Sender::new(None),
            used: watch::Sender::new(vec![]),
            before_apply: Arc::new(|| Ok(())),
            number,
            secrets: [7, 7],
        }
    }

    /// Uses the first of these secrets, and also accepts the other.
    pub fn with_secrets(mut self, secrets: [u8; 2]) -> Self {
        self.secrets = secrets;
        self
    }

    pub fn id(&self) -> NodeId {
        NodeId([self.number; 16])
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub fn write(&self, op: Op, key: KeyName) -> Position {
        let position = self.store().commit(op, key);
        self.committed.send_replace(position);
        position
    }

    /// Issues these keys.
    pub fn issue(&self, keys: std::ops::Range<KeyName>) -> Position {
        for key in keys {
            self.write(Op::Issue, key);
        }
        self.store().committed().unwrap()
    }

    fn identity(&self) -> Identity {
        Identity {
            cluster: ClusterId([1; 16]),
            node: self.id(),
            secrets: Secrets {
                current: secret(self.secrets[0]),
                retired: vec![secret(self.secrets[1])],
            },
        }
    }

    pub fn primary_settings(&self) -> PrimarySettings {
        PrimarySettings {
            identity: self.identity(),
            max_staleness_ms: MAX_STALENESS_MS,
            copies: 2,
            copy_bytes_per_s: 1 << 30,
            tls: None,
            allowed: Vec::new(),
            acceptance: watch::channel(Acceptance::default()).1,
        }
    }

    /// Starts a primary.
    pub async fn serve(&self) -> RunningPrimary {
        self.serve_at("127.0.0.1:0", self.primary_settings()).await
    }

    pub async fn serve_at(&self, address: &str, settings: PrimarySettings) -> RunningPrimary {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let primary = Primary::new(self.clone(), settings);
        let handle = primary.handle();
        RunningPrimary {
            address,
            handle,
            task: tokio::spawn(primary.serve(listener)),
        }
    }

    pub fn replica_settings(&self, primary: SocketAddr) -> ReplicaSettings {
        ReplicaSettings {
            identity: self.identity(),
            max_staleness_ms: MAX_STALENESS_MS,
            primary: primary.to_string(),
            tls: None,
            acceptance: watch::channel(Acceptance::default()).1,
        }
    }

    /// Starts a replica of the primary at this address.
    pub fn follow(&self, primary: SocketAddr) -> RunningReplica {
        self.follow_with(self.replica_settings(primary))
    }

    pub fn follow_with(&self, settings: ReplicaSettings) -> RunningReplica {
        let durable_state = self.store().state.durable.clone();
        let (replica, handle) = Replica::new(self.clone(), durable_state, settings);
        RunningReplica {
            status: handle.status(),
            handle,
            task: tokio::spawn(replica.run()),
        }
    }

    /// Whether both nodes hold the same state.
    pub fn equals(&self, other: &Self) -> bool {
        let [one, two] = [self, other].map(|node| node.store().state.clone());
        one.keys == two.keys && one.durable == two.durable
    }
}

/// A running primary.
pub struct RunningPrimary {
    pub address: SocketAddr,
    pub handle: PrimaryHandle,
    task: JoinHandle<()>,
}

impl RunningPrimary {
    pub async fn end(self) {
        self.handle.stop();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    pub async fn shows(&self, what: impl FnMut(&PrimaryStatus) -> bool) -> PrimaryStatus {
        let mut status = self.handle.status();
        let shown = timeout(PATIENCE, status.wait_for(what)).await;
        let Ok(shown) = shown else {
            panic!("never: {:?}", self.handle.status().borrow());
        };
        shown.unwrap().clone()
    }

    pub fn refused(&self, kind: &str) -> u64 {
        let counts = self.handle.refusals();
        counts
            .into_iter()
            .find(|(label, _)| *label == kind)
            .unwrap()
            .1
    }
}

/// A running replica.
pub struct RunningReplica {
    pub handle: ReplicaHandle,
    pub status: watch::Receiver<ReplicaStatus>,
    pub task: JoinHandle<Result<StoppedReplica<Node>, SinkError>>,
}

impl RunningReplica {
    pub async fn shows(&mut self, what: impl FnMut(&ReplicaStatus) -> bool) -> ReplicaStatus {
        let shown = timeout(PATIENCE, self.status.wait_for(what)).await;
        let Ok(shown) = shown else {
            panic!("never: {:?}", self.handle.status().borrow());
        };
        shown.unwrap().clone()
    }

    pub async fn reaches(&mut self, position: Position) -> ReplicaStatus {
        self.shows(|status| status.reaches(position)).await
    }

    pub async fn leave(self) -> StoppedReplica<Node> {
        self.handle.leave().await.unwrap();
        timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }
}

pub async fn until(mut condition: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("never");
}

impl ChangeSource for Node {
    fn look(&mut self, at: Position) -> Result<Looked, SourceError> {
        self.store().look(at)
    }

    fn read(
        &mut self,
        after: Position,
        up_to: Sequence,
        bytes_max: usize,
    ) -> Result<Reading, SourceError> {
        self.store().read(after, up_to, bytes_max)
    }

    fn open_copy(&mut self, resume: Option<CopyName>) -> Result<CopyOpening, SourceError> {
        self.store().open_copy(resume)
    }

    fn read_copy(
        &mut self,
        copy: CopyName,
        after: &CopyCursor,
        bytes_max: usize,
    ) -> Result<CopyReading, SourceError> {
        self.store().read_copy(copy, after, bytes_max)
    }

    fn close_copy(&mut self, copy: CopyName) {
        self.store().close_copy(copy);
    }
}

impl ChangeSink for Node {
    fn adopt(&mut self, history: &EpochHistory) -> Result<(), SinkError> {
        self.store().adopt(history)
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), SinkError> {
        (self.before_apply)()?;
        self.store().apply(batch)
    }

    fn begin_copy(&mut self, history: &EpochHistory, place: &CopyPlace) -> Result<(), SinkError> {
        self.store().begin_copy(history, place)
    }

    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError> {
        self.store().install(chunk)
    }
}

impl PrimaryNode for Node {
    type Source = Self;

    fn source(&self) -> Self {
        self.clone()
    }

    fn history(&self) -> EpochHistory {
        self.store().history().clone()
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.committed.subscribe()
    }

    fn on_last_used(&self, last_used: Vec<LastUsed>) {
        self.used.send_replace(last_used);
    }

    fn on_replaced(&self, epoch: Epoch) {
        self.replaced.send_replace(Some(epoch));
    }
}
