//! `GET /v2alpha1/admin/changes`
//!
//! Guarantees: a stream holds at most a few chunks of the log in memory, however slowly its client
//! reads; it ends when the client closes the connection; there are at most
//! [`limits::CHANGE_STREAMS`]. When the log drops changes that were not sent, the stream ends, and
//! the client gets an error when it connects again.

use std::sync::Arc;

use talos_api::change::{self, FeedRequest, LAST_EVENT_ID, Start, Wanted};
use talos_api::control::{ControlRequest, ControlResponse, Ending};
use talos_api::error::ApiError;
use talos_engine::{Engine, LogStart};
use talos_model::{LogRead, LoggedChange, Position, ReadError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::body_stream::{self, BodySender, Gone};
use crate::context::Context;
use crate::metrics::StreamKind;
use crate::{engine_call, limits};

/// Streams the changes after a position, then new changes as they happen.
pub(crate) async fn follow(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let FeedRequest { start, wanted } =
        change::parse_request(&request.query, last_event_id(request)?)?;
    let own = request
        .principal
        .as_ref()
        .and_then(|principal| principal.tenant);
    let wanted = match request.tenant_of_host.or(own) {
        Some(tenant) => wanted.within(tenant)?,
        None => wanted,
    };
    let permit = Arc::clone(&context.change_streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::service_unavailable("too many streams are open; try again later"))?;
    let engine = Arc::clone(&context.engine);
    let changed = context.change_notifier.subscribe();
    let start = match start {
        Start::Now => LogStart::After(engine.committed()),
        Start::Oldest => LogStart::Oldest,
        Start::After(position) => LogStart::After(position),
    };
    // The first read happens before the answer, because only the status of the answer can report
    // its error.
    let first = engine_call::read_log(&engine, start, limits::CHANGES_AT_ONCE).await?;
    if let (LogRead::Gone, LogStart::After(position)) = (&first, start) {
        return Err(lost(&engine, position).await?);
    }
    let (sender, body) = body_stream::channel(Ending::AfterAnyChunk);
    let place = match start {
        LogStart::After(position) => Some(position),
        LogStart::Oldest => None,
    };
    let feed = Feed {
        engine,
        changed,
        wanted,
        place,
        sender,
    };
    let open = context.metrics.stream(StreamKind::Changes);
    tokio::spawn(async move {
        feed.run(first).await;
        drop((permit, open));
    });
    Ok(ControlResponse {
        status: 200,
        headers: vec![
            ("Content-Type", change::CONTENT_TYPE.to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            // Otherwise nginx holds events back until its buffer is full.
            ("X-Accel-Buffering", "no".to_owned()),
        ],
        body: change::opening(place),
        rest: Some(body),
    })
}

fn last_event_id(request: &ControlRequest) -> Result<Option<&str>, ApiError> {
    let mut ids = request
        .headers
        .iter()
        .filter(|(name, _)| name == LAST_EVENT_ID);
    let id = ids.next();
    if ids.next().is_some() {
        return Err(ApiError::invalid_field("Last-Event-ID", "is given twice"));
    }
    Ok(id.map(|(_, value)| value.as_str()))
}

/// The error for a position whose changes the log does not have: they were dropped, the log never
/// had the position, or it has not reached it yet.
async fn lost(engine: &Engine, place: Position) -> Result<ApiError, ApiError> {
    let epochs = engine.standing().epochs;
    let is_ahead = place.sequence > engine.committed().sequence;
    if is_ahead && (place.epoch > epochs.newest() || epochs.has(place)) {
        return Ok(change::not_reached(place));
    }
    let oldest = engine_call::read_log(engine, LogStart::Oldest, limits::ONE_CHANGE).await?;
    let oldest = match &oldest {
        LogRead::Changes(changes) => changes.first().map(|change| change.position),
        LogRead::None | LogRead::Gone => None,
    };
    Ok(change::gone(place, oldest))
}

struct Feed {
    engine: Arc<Engine>,
    changed: watch::Receiver<()>,
    wanted: Wanted,
    /// The position of the last change that was read.
    place: Option<Position>,
    sender: BodySender,
}

impl Feed {
    async fn run(mut self, first: LogRead) {
        // A client that is gone needs no end.
        if self.serve(first).await != Err(Gone) {
            self.sender.end().await;
        }
    }

    /// Sends changes until the client is gone or the log cannot be read any more.
    async fn serve(&mut self, first: LogRead) -> Result<(), Gone> {
        let mut read = first;
        let mut heartbeat = Instant::now() + limits::HEARTBEAT;
        loop {
            match read {
                LogRead::Changes(changes) => {
                    let Ok(events) = self.render(&changes) else {
                        return Ok(());
                    };
                    if !events.is_empty() {
                        self.sender.send(events).await?;
                        heartbeat = Instant::now() + limits::HEARTBEAT;
                    }
                }
                LogRead::None => self.wait(&mut heartbeat).await?,
                LogRead::Gone => return Ok(()),
            }
            // The read has logged its error.
            let Ok(next) = self.read().await? else {
                return Ok(());
            };
            read = next;
        }
    }

    /// Waits for a new change. Sends a heartbeat when there is none for a while.
    async fn wait(&mut self, heartbeat: &mut Instant) -> Result<(), Gone> {
        tokio::select! {
            // The notifier is gone only when the control plane stops.
            notified = self.changed.changed() => notified.map_err(|_| Gone),
            () = sleep_until(*heartbeat) => {
                *heartbeat = Instant::now() + limits::HEARTBEAT;
                self.sender.send(change::heartbeat(self.place)).await
            }
            gone = self.sender.gone() => Err(gone),
        }
    }

    /// Reads the next changes. Waits and tries again while the engine has too many reads.
    async fn read(&self) -> Result<Result<LogRead, ReadError>, Gone> {
        let start = self.place.map_or(LogStart::Oldest, LogStart::After);
        loop {
            match engine_call::try_read_log(&self.engine, start, limits::CHANGES_AT_ONCE).await {
                Err(ReadError::Busy) => tokio::select! {
                    () = tokio::time::sleep(limits::BUSY_REST) => {}
                    gone = self.sender.gone() => return Err(gone),
                },
                read => return Ok(read),
            }
        }
    }

    /// Renders the changes that the client wants as events.
    fn render(&mut self, changes: &[LoggedChange]) -> Result<Vec<u8>, ReadError> {
        let mut events = Vec::new();
        for logged in changes {
            let change = talos_engine::decode_change(logged).inspect_err(|error| {
                tracing::error!(position = %logged.position, %error, "a change cannot be read");
            })?;
            if self.wanted.includes(&change) {
                change::render(&change, &mut events);
            }
            self.place = Some(logged.position);
        }
        Ok(events)
    }
}
