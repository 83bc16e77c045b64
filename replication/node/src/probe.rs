//! Whether the primary that is configured reigns later than this node, which was promoted over its configuration.
//!
//! A fleet may have gone back to that primary since: then this node, started with its configuration as it always was, must not reign
//! beside it. Who does not answer is taken to be gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::Shared;
use crate::store::{committed_position, epoch_history, last_digest};
use talos_replication::driver::replica::{Replica, ReplicaSettings};
use talos_replication::follow::Stop;
use talos_replication::history::EpochHistory;
use talos_replication::message::{Batch, Chunk, CopyPlace};
use talos_replication::sink::{ChangeSink, DurableState, Progress, SinkError};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Storage that takes nothing, and remembers that something was to be taken: only a primary of this line, and a later one, gives
/// anything to a node that reigns itself.
#[derive(Clone, Default)]
struct Refusing(Arc<AtomicBool>);

impl Refusing {
    fn refuse(&self) -> Result<(), SinkError> {
        self.0.store(true, Ordering::Release);
        Err(SinkError("only asked".to_owned()))
    }
}

impl ChangeSink for Refusing {
    fn adopt(&mut self, _: &EpochHistory) -> Result<(), SinkError> {
        self.refuse()
    }

    fn apply(&mut self, _: &Batch) -> Result<(), SinkError> {
        self.refuse()
    }

    fn begin_copy(&mut self, _: &EpochHistory, _: &CopyPlace) -> Result<(), SinkError> {
        self.refuse()
    }

    fn install(&mut self, _: &Chunk) -> Result<(), SinkError> {
        self.refuse()
    }
}

impl Shared {
    /// Whether somebody reigns at `primary` whom this node would have to follow.
    pub(super) async fn is_replaced_by(&self, primary: &str) -> bool {
        let (Ok(history), Ok(last)) = (epoch_history(&self.engine), last_digest(&self.engine))
        else {
            return false;
        };
        let durable_state = DurableState {
            history,
            progress: Progress::At(committed_position(&self.engine)),
            last,
        };
        let settings = ReplicaSettings {
            identity: self.identity(),
            max_staleness_ms: self.max_staleness_ms(),
            primary: primary.to_owned(),
            tls: self.settings.replica_tls.clone(),
        };
        let sink = Refusing::default();
        let asked = Arc::clone(&sink.0);
        let (replica, handle) = Replica::new(sink, durable_state, settings);
        let mut status = handle.status();
        let asking = tokio::spawn(replica.run());
        let answered = status.wait_for(|status| status.stop.is_some() || status.last_end.is_some());
        let is_diverged = match timeout(PATIENCE, answered).await {
            Ok(Ok(status)) => matches!(status.stop, Some(Stop::Diverged { .. })),
            _ => false,
        };
        // It has ended already when its storage has refused something.
        let _ = handle.leave().await;
        let _ = asking.await;
        is_diverged || asked.load(Ordering::Acquire)
    }
}
