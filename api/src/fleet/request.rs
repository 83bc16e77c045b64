//! The query parameters that are about replication.

use crate::error::ApiError;
use crate::query::{self, Parameter};

/// Which replicas a change waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgement {
    /// As many as are configured.
    #[default]
    Configured,
    /// As many as are configured, and every replica that considers itself up to date.
    EveryReplica,
}

/// Which replicas a change waits for.
const WAIT: Parameter = Parameter::text(
    "wait",
    "`replicas`: answer when every replica that considers itself up to date has applied the change.",
);
/// How many changes are shown.
pub(crate) const LIMIT: Parameter = Parameter::int32(
    "limit",
    1,
    LIMIT_MAX,
    "The most changes to show: 1 to 1000; 100 without it.",
);
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: i32 = 1000;

/// Reads which replicas a change waits for.
///
/// # Errors
/// 400 for anything but `wait=replicas`.
pub fn parse_wait(query: &str) -> Result<Acknowledgement, ApiError> {
    match query::parameter(query, &WAIT)?.as_deref() {
        None => Ok(Acknowledgement::Configured),
        Some("replicas") => Ok(Acknowledgement::EveryReplica),
        Some(_) => Err(ApiError::invalid_field(WAIT.name, "must be replicas")),
    }
}

/// Refuses a public request that chooses which replicas it waits for: only administrators may let
/// a request occupy the server for that long.
///
/// # Errors
/// 400 if there is such a choice.
pub fn refuse_wait(query: &str) -> Result<(), ApiError> {
    match query::parameter(query, &WAIT)? {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid_field(
            WAIT.name,
            "must be absent here: only requests of administrators may choose it",
        )),
    }
}

/// Reads how many changes are shown.
///
/// # Errors
/// 400 for anything but a number in range.
pub fn parse_limit(query: &str) -> Result<usize, ApiError> {
    let Some(text) = query::parameter(query, &LIMIT)? else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.ok_or_else(|| ApiError::invalid_field(LIMIT.name, "must be 1 to 1000"))
}
