//! Replicas that accept everything and store nothing. They measure the primary only.

use std::thread;

use talos_model::{
    Acceptance, CopyPlace, Epoch, EpochHistory, EpochId, EpochStart, Position, Sequence,
};
use talos_replication::driver::replica::{Replica, ReplicaSettings};
use talos_replication::handshake::Identity;
use talos_replication::ids::{ClusterId, NodeId};
use talos_replication::message::{Batch, Chunk};
use talos_replication::secret::{Secrets, SharedSecret};
use talos_replication::sink::{ChangeSink, DurableState, Progress, SinkError};

use super::server::SECRET;

struct Nothing;

impl ChangeSink for Nothing {
    fn adopt(&mut self, _: &EpochHistory) -> Result<(), SinkError> {
        Ok(())
    }

    fn apply(&mut self, _: &Batch) -> Result<(), SinkError> {
        Ok(())
    }

    fn begin_copy(&mut self, _: &EpochHistory, _: &CopyPlace) -> Result<(), SinkError> {
        Ok(())
    }

    fn install(&mut self, _: &Chunk) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Starts `count` replicas that follow the primary at `address` until the process ends.
pub fn follow(address: &str, count: u64) {
    let first = EpochStart {
        epoch: Epoch::FIRST,
        id: EpochId([0; 16]),
        after: Sequence(0),
    };
    let history = EpochHistory::new(vec![first]).expect("a history");
    let shared = SharedSecret::new(SECRET.as_bytes()).expect("a secret");
    let address = address.to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            for number in 0..count {
                let mut id = [7; 16];
                id[0] = u8::try_from(number).expect("few replicas");
                let settings = ReplicaSettings {
                    identity: Identity {
                        cluster: ClusterId([0; 16]),
                        node: NodeId(id),
                        secrets: Secrets {
                            current: shared.clone(),
                            retired: Vec::new(),
                        },
                    },
                    max_staleness_ms: 10_000,
                    primary: address.clone(),
                    tls: None,
                    acceptance: tokio::sync::watch::channel(Acceptance::default()).1,
                };
                let durable_state = DurableState {
                    history: history.clone(),
                    progress: Progress::At(Position::START),
                    last: None,
                };
                let (replica, handle) = Replica::new(Nothing, durable_state, settings);
                tokio::spawn(async move {
                    let _handle = handle;
                    replica.run().await
                });
            }
            std::future::pending::<()>().await;
        });
    });
}
