//! `GET /v2alpha1/admin/backup`
//!
//! Guarantees: a backup holds the state at one position, whatever is written meanwhile; it is read
//! only as fast as the client receives it; at most as many run as the engine allows snapshots; a
//! client notices when a backup is incomplete.

use std::sync::Arc;

use talos_api::control::{CONTENT_TYPE_BYTES, ControlResponse, Ending};
use talos_api::error::ApiError;
use talos_engine::SnapshotError;
use talos_engine::backup::BackupMaker;
use tokio::task::spawn_blocking;

use crate::body_stream::{self, BodySender, Gone};
use crate::context::Context;
use crate::metrics::StreamKind;

/// Streams a backup of the current state.
pub(crate) async fn create(context: &Context) -> Result<ControlResponse, ApiError> {
    let (engine, release) = (Arc::clone(&context.engine), context.release);
    let begun = spawn_blocking(move || engine.backup(release)).await;
    let maker = begun.map_err(|error| {
        tracing::error!(%error, "a backup could not be started");
        ApiError::internal()
    })?;
    let maker = maker.map_err(refusal)?;
    let position = maker.head().position;
    tracing::info!(%position, "a backup has started");
    let open = context.metrics.stream(StreamKind::Backup);
    let (sender, body) = body_stream::channel(Ending::AfterTheLast);
    spawn_blocking(move || {
        send(maker, sender);
        drop(open);
    });
    Ok(ControlResponse {
        status: 200,
        headers: vec![
            ("Content-Type", CONTENT_TYPE_BYTES.to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ],
        body: Vec::new(),
        rest: Some(body),
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
            tracing::error!(cause, "a backup could not be started");
            ApiError::internal()
        }
    }
}

/// Sends all chunks. Blocks on the disk and on the client. An error of the storage breaks the
/// answer off.
fn send(mut maker: BackupMaker, sender: BodySender) {
    let position = maker.head().position;
    loop {
        match maker.next_part() {
            Ok(Some(chunk)) => {
                if sender.send_blocking(chunk) == Err(Gone) {
                    tracing::warn!(%position, "the client of a backup closed the connection before the end");
                    return;
                }
            }
            Ok(None) => {
                sender.end_blocking();
                tracing::info!(%position, "a backup was sent");
                return;
            }
            Err(error) => {
                tracing::error!(%position, %error, "a backup was broken off because the storage could not be read");
                return;
            }
        }
    }
}
