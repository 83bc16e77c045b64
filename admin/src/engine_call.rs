//! Async calls of the engine, which answers by callback from its own threads.

use std::sync::Arc;
use std::time::Duration;

use talos_api::control::ControlRequest;
use talos_api::error::ApiError;
use talos_engine::{Engine, LogStart};
use talos_model::clock::UnixMillis;
use talos_model::{
    Author, CommandError, KeyId, ListQuery, LogRead, Page, Principal, ReadError, ReadLimits,
    Record, Rejection, TenantId, TypedCommand,
};
use tokio::sync::oneshot;

use crate::limits;
use crate::reported_change::ReportedChange;

/// Submits `command` and waits until it is durable and published, or refused. The principal of
/// `request`, if it has one, is the author of the changes.
///
/// # Errors
/// For the client: the engine's refusal, 500 when the engine dropped the command, 504 when it did
/// not answer in time.
pub(crate) async fn submit<C: TypedCommand>(
    engine: &Engine,
    command: C,
    request: &ControlRequest,
) -> Result<C::Outcome, ApiError> {
    let author = author_of(request);
    let outcome = try_submit(engine, author, command, |outcome| outcome).await?;
    outcome.map_err(ApiError::from)
}

/// As [`submit`], with this author of the changes.
///
/// # Errors
/// As of [`submit`].
pub(crate) async fn submit_as<C: TypedCommand>(
    engine: &Engine,
    author: Option<Author>,
    command: C,
) -> Result<C::Outcome, ApiError> {
    let outcome = try_submit(engine, author, command, |outcome| outcome).await?;
    outcome.map_err(ApiError::from)
}

/// Submits a command that may have a request id. If the id was used for another request, the answer
/// rests on the key that that request made. `keep` is called on the committing thread with what the
/// command did, also when this function no longer waits.
///
/// # Errors
/// For the client: the errors of [`submit`].
pub(crate) async fn submit_once<C: TypedCommand, T: Send + 'static>(
    engine: &Engine,
    command: C,
    request: &ControlRequest,
    reported: &ReportedChange,
    keep: impl FnOnce(C::Outcome) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = try_submit(engine, author_of(request), command, keep).await?;
    outcome.map_err(|error| {
        if let CommandError::Rejected(Rejection::RequestIdReused { sequence, .. }) = error {
            reported.is(sequence);
        }
        error.into()
    })
}

/// The author of the changes of a request: its principal.
fn author_of(request: &ControlRequest) -> Option<Author> {
    let author = |principal: &Arc<Principal>| Author::new(principal, request.client_ip);
    request.principal.as_ref().map(author)
}

/// Submits a command and waits. The outer error is for the client, see [`submit`].
async fn try_submit<C: TypedCommand, T: Send + 'static>(
    engine: &Engine,
    author: Option<Author>,
    command: C,
    keep: impl FnOnce(C::Outcome) -> T + Send + 'static,
) -> Result<Result<T, CommandError>, ApiError> {
    let (sender, receiver) = oneshot::channel();
    engine.submit_as(author, command, move |result| {
        // The receiver is gone only after a timeout.
        drop(sender.send(result.map(keep)));
    });
    let result = await_answer(receiver, limits::ENGINE_WAIT).await?;
    Ok(result.inspect_err(|error| {
        // The engine has logged once why writes are stopped, so that is not logged per request.
        if let CommandError::Storage(cause) = error {
            tracing::error!(cause, "a record that a change needs could not be read");
        }
    }))
}

/// Reads the record of a key.
///
/// # Errors
/// For the client: 404 when there is no such key, otherwise the errors of [`submit`].
pub(crate) async fn get(
    engine: &Engine,
    tenant: TenantId,
    key_id: KeyId,
) -> Result<Record, ApiError> {
    let (sender, receiver) = oneshot::channel();
    engine.get(tenant, key_id, move |result| drop(sender.send(result)));
    let record = await_answer(receiver, limits::ENGINE_WAIT)
        .await?
        .map_err(|error| unread(error, tenant))?;
    record.ok_or_else(ApiError::api_key_not_found)
}

/// Reads when the key of `record` was last used; `None` when no use is known.
///
/// # Errors
/// For the client: the errors of [`submit`].
pub(crate) async fn last_used(
    engine: &Engine,
    record: &Record,
) -> Result<Option<UnixMillis>, ApiError> {
    let (sender, receiver) = oneshot::channel();
    engine.last_used(record.clone(), move |result| drop(sender.send(result)));
    await_answer(receiver, limits::ENGINE_WAIT)
        .await?
        .map_err(|error| unread(error, record.tenant))
}

/// Reads a page of keys.
///
/// # Errors
/// For the client: the errors of [`submit`].
pub(crate) async fn list(engine: &Engine, query: ListQuery) -> Result<Page, ApiError> {
    let (sender, receiver) = oneshot::channel();
    let tenant = query.selection.tenant;
    engine.list(query, move |result| drop(sender.send(result)));
    await_answer(receiver, limits::ENGINE_WAIT)
        .await?
        .map_err(|error| unread(error, tenant))
}

/// Reads a range of the log, to answer a client.
///
/// # Errors
/// For the client: the errors of [`submit`].
pub(crate) async fn read_log(
    engine: &Engine,
    start: LogStart,
    most: ReadLimits,
) -> Result<LogRead, ApiError> {
    Ok(try_read_log(engine, start, most).await?)
}

/// Reads a range of the log, for a caller that handles the errors of the engine itself.
///
/// # Errors
/// The errors of the engine. [`ReadError::Storage`] also when it gave no answer.
pub(crate) async fn try_read_log(
    engine: &Engine,
    start: LogStart,
    most: ReadLimits,
) -> Result<LogRead, ReadError> {
    let (sender, receiver) = oneshot::channel();
    engine.read_log(start, most, move |result| drop(sender.send(result)));
    let answer = await_answer(receiver, limits::ENGINE_WAIT).await;
    let read = answer.unwrap_or_else(|error| Err(ReadError::Storage(error.to_string())));
    read.inspect_err(|error| {
        if let ReadError::Storage(cause) = error {
            tracing::error!(cause, "the change log could not be read");
        }
    })
}

/// Counts keys on a thread that may block. The count continues after a timeout; the engine bounds
/// how many run at the same time.
///
/// # Errors
/// For the client: the errors of [`submit`], or 503 when the count takes too long.
pub(crate) async fn count(
    count: impl FnOnce() -> Result<u64, ReadError> + Send + 'static,
) -> Result<u64, ApiError> {
    let (sender, receiver) = oneshot::channel();
    tokio::task::spawn_blocking(move || drop(sender.send(count())));
    let Ok(counted) = tokio::time::timeout(limits::COUNT_WAIT, receiver).await else {
        return Err(ApiError::service_unavailable(
            "there are too many keys to count them in time; name an actor_id, or go without a count: a revocation needs none",
        ));
    };
    let counted = counted.map_err(|_| {
        tracing::error!("a count of keys ended without an answer");
        ApiError::internal()
    })?;
    counted.map_err(|error| {
        if let ReadError::Storage(cause) = &error {
            tracing::error!(cause, "keys could not be counted");
        }
        error.into()
    })
}

fn unread(error: ReadError, tenant: TenantId) -> ApiError {
    if let ReadError::Storage(cause) = &error {
        tracing::error!(cause, %tenant, "a record could not be read");
    }
    error.into()
}

async fn await_answer<T>(receiver: oneshot::Receiver<T>, wait: Duration) -> Result<T, ApiError> {
    match tokio::time::timeout(wait, receiver).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => {
            tracing::error!("the engine dropped a call without an answer");
            Err(ApiError::internal())
        }
        Err(_) => {
            tracing::error!(
                waited_s = wait.as_secs(),
                "the engine did not answer in time"
            );
            Err(ApiError::gateway_timeout())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(answer: impl Future<Output = Result<u8, ApiError>>) -> Result<u8, u16> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(answer).map_err(|error| error.status())
    }

    #[test]
    fn every_question_ends() {
        let (sender, receiver) = oneshot::channel();
        sender.send(7).expect("a listener");
        assert_eq!(status(await_answer(receiver, limits::ENGINE_WAIT)), Ok(7));

        let (sender, receiver) = oneshot::channel::<u8>();
        drop(sender);
        assert_eq!(
            status(await_answer(receiver, limits::ENGINE_WAIT)),
            Err(500)
        );

        let (_sender, receiver) = oneshot::channel::<u8>();
        assert_eq!(status(await_answer(receiver, Duration::ZERO)), Err(504));
    }
}
