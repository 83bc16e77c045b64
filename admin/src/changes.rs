//! `GET /v2alpha1/admin/changes`
//!
//! Guarantees: a stream holds a stretch of the log and no more, whatever its client reads; it ends when the client has gone; there
//! are [`limits::CHANGE_STREAMS`] at most. What the log has dropped before it was sent ends the stream, and the client that comes
//! back is told.

use std::sync::Arc;

use talos_api::change::{self, LAST_EVENT_ID, Start, Wanted};
use talos_api::control::{ControlRequest, ControlResponse, Ending};
use talos_api::error::ApiError;
use talos_engine::{Engine, LogRead, LogStart, LoggedChange, Position, ReadError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::engine_call;
use crate::limits;
use crate::metrics::StreamKind;
use crate::parts::{self, Gone, Outlet};

/// Sends the changes after a position, and goes on with new ones as they come.
pub(crate) async fn follow(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let (start, wanted) = change::parse_request(&request.query, last_event_id(request)?)?;
    let permit = Arc::clone(&context.change_streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::service_unavailable("too many streams are open; try again later"))?;
    let engine = Arc::clone(&context.engine);
    let news = context.news.follow();
    let start = match start {
        Start::Now => LogStart::After(engine.head()),
        Start::Oldest => LogStart::Oldest,
        Start::After(position) => LogStart::After(position),
    };
    // What is wrong with the place is said while there is still a status to say it with.
    let first = engine_call::read_log(&engine, start, limits::CHANGES_AT_ONCE).await?;
    if let (LogRead::Gone, LogStart::After(position)) = (&first, start) {
        return Err(lost(&engine, position).await?);
    }
    let (outlet, rest) = parts::channel(Ending::AfterAnyPart);
    let place = match start {
        LogStart::After(position) => Some(position),
        LogStart::Oldest => None,
    };
    let feed = Feed {
        engine,
        news,
        wanted,
        place,
        outlet,
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
            // nginx would keep events back until its buffer is full.
            ("X-Accel-Buffering", "no".to_owned()),
        ],
        body: change::opening(place),
        rest: Some(rest),
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

/// Why the log does not hold the changes after `place`: it has dropped them, it never had it, or it has yet to get there.
async fn lost(engine: &Engine, place: Position) -> Result<ApiError, ApiError> {
    let lineage = engine.standing().lineage;
    let is_ahead = place.sequence > engine.head().sequence;
    if is_ahead && (place.epoch > lineage.newest() || lineage.has(place)) {
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
    news: watch::Receiver<()>,
    wanted: Wanted,
    /// The last change that was read.
    place: Option<Position>,
    outlet: Outlet,
}

impl Feed {
    async fn run(mut self, first: LogRead) {
        // A client that has gone needs no end.
        if self.serve(first).await != Err(Gone) {
            self.outlet.end().await;
        }
    }

    /// Until the client has gone, or the log cannot be followed any more.
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
                        self.outlet.put(events).await?;
                        heartbeat = Instant::now() + limits::HEARTBEAT;
                    }
                }
                LogRead::None => self.wait(&mut heartbeat).await?,
                LogRead::Gone => return Ok(()),
            }
            // Why it cannot be read was logged where that was found.
            let Ok(next) = self.read().await? else {
                return Ok(());
            };
            read = next;
        }
    }

    /// Waits for news, or for the time to say that there are none.
    async fn wait(&mut self, heartbeat: &mut Instant) -> Result<(), Gone> {
        tokio::select! {
            // Whoever tells has gone with the control plane.
            told = self.news.changed() => told.map_err(|_| Gone),
            () = sleep_until(*heartbeat) => {
                *heartbeat = Instant::now() + limits::HEARTBEAT;
                self.outlet.put(change::heartbeat(self.place)).await
            }
            gone = self.outlet.gone() => Err(gone),
        }
    }

    /// The next stretch. While too many others read it is waited for.
    async fn read(&self) -> Result<Result<LogRead, ReadError>, Gone> {
        let start = self.place.map_or(LogStart::Oldest, LogStart::After);
        loop {
            match engine_call::try_read_log(&self.engine, start, limits::CHANGES_AT_ONCE).await {
                Err(ReadError::Busy) => tokio::select! {
                    () = tokio::time::sleep(limits::BUSY_REST) => {}
                    gone = self.outlet.gone() => return Err(gone),
                },
                read => return Ok(read),
            }
        }
    }

    /// The events of these changes that are wanted.
    fn render(&mut self, changes: &[LoggedChange]) -> Result<Vec<u8>, ReadError> {
        let mut events = Vec::new();
        for logged in changes {
            let change = logged.read().inspect_err(|error| {
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
