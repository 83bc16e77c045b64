//! `GET /v2alpha1/admin/backup`
//!
//! Guarantees: what is sent is consistent with one position, whatever is written meanwhile; it is read no faster than the client
//! takes it; there are no more at a time than the engine has snapshots for; what breaks off is seen not to be whole.

use std::sync::Arc;

use talos_api::control::{CONTENT_TYPE_BYTES, ControlResponse, Ending};
use talos_api::error::ApiError;
use talos_engine::SnapshotError;
use talos_engine::backup::BackupMaker;
use tokio::task::spawn_blocking;

use crate::context::Context;
use crate::metrics::StreamKind;
use crate::parts::{self, Gone, Outlet};

/// Sends everything as it is now.
pub(crate) async fn create(context: &Context) -> Result<ControlResponse, ApiError> {
    let (engine, release) = (Arc::clone(&context.engine), context.release);
    let begun = spawn_blocking(move || engine.backup(release)).await;
    let maker = begun.map_err(|error| {
        tracing::error!(%error, "a backup could not be begun");
        ApiError::internal()
    })?;
    let maker = maker.map_err(refusal)?;
    let position = maker.head().position;
    tracing::info!(%position, "a backup is taken");
    let open = context.metrics.stream(StreamKind::Backup);
    let (outlet, rest) = parts::channel(Ending::AfterTheLast);
    spawn_blocking(move || {
        send(maker, outlet);
        drop(open);
    });
    Ok(ControlResponse {
        status: 200,
        headers: vec![
            ("Content-Type", CONTENT_TYPE_BYTES.to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ],
        body: Vec::new(),
        rest: Some(rest),
    })
}

fn refusal(error: SnapshotError) -> ApiError {
    match error {
        SnapshotError::Busy => ApiError::service_unavailable(
            "too many backups and copies are under way; try again later",
        ),
        SnapshotError::Incomplete => ApiError::service_unavailable(
            "this node is being copied from another one; back that one up, or try again later",
        ),
        SnapshotError::Storage(cause) => {
            tracing::error!(cause, "a backup could not be begun");
            ApiError::internal()
        }
    }
}

/// Waits for the disk and for the client. An error of storage breaks the answer off.
fn send(mut maker: BackupMaker, outlet: Outlet) {
    let position = maker.head().position;
    loop {
        match maker.next_part() {
            Ok(Some(part)) => {
                if outlet.put_blocking(part) == Err(Gone) {
                    tracing::warn!(%position, "a backup was broken off by its receiver");
                    return;
                }
            }
            Ok(None) => {
                outlet.end_blocking();
                tracing::info!(%position, "a backup was sent");
                return;
            }
            Err(error) => {
                tracing::error!(%position, %error, "a backup could not be read on");
                return;
            }
        }
    }
}
