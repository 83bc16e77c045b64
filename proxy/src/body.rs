//! Reading a whole request body, bounded in size, time and memory.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use talos_api::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;

const KIB: usize = 1024;

/// The memory budget for large bodies, shared by all requests. One permit is 1 KiB.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies(Arc<Semaphore>);

/// A body that was read. Dropping it returns its share of the budget.
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// When the client starts to send the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyStart {
    /// Together with the head.
    Immediate,
    /// After `100 Continue`.
    AfterContinue,
}

impl LargeBodies {
    /// A budget of which nothing is in use.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::LARGE_BODIES_BYTES / KIB)))
    }

    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(kib).ok()
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// 413 when it is too large, 408 when it does not arrive in time, 400 when the connection
    /// breaks, 503 when the budget is used up. The connection must be closed after each of them.
    pub(crate) async fn read(
        &self,
        mut body: Incoming,
        start: BodyStart,
    ) -> Result<WholeBody, ApiError> {
        let length = body.size_hint().upper().map(usize::try_from);
        let length = match length {
            // Unknown length: reserve the maximum.
            None => limits::BODY_BYTES,
            Some(Ok(length)) if length <= limits::BODY_BYTES => length,
            Some(_) => {
                if start == BodyStart::Immediate {
                    linger(&mut body).await;
                }
                return Err(ApiError::payload_too_large());
            }
        };
        let mut permit = None;
        if length > limits::SMALL_BODY_BYTES {
            permit = self.reserve(length);
            if permit.is_none() {
                let message = "too many large requests are being read; try again";
                return Err(ApiError::service_unavailable(message));
            }
        }
        let limited = Limited::new(&mut body, limits::BODY_BYTES).collect();
        match tokio::time::timeout(limits::BODY, limited).await {
            Ok(Ok(collected)) => Ok(WholeBody {
                bytes: collected.to_bytes(),
                _permit: permit,
            }),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                linger(&mut body).await;
                Err(ApiError::payload_too_large())
            }
            Ok(Err(_)) => Err(ApiError::bad_request("the body broke off")),
            Err(_) => Err(ApiError::timeout()),
        }
    }
}

/// Reads and drops the rest of a body for a limited time. Closing a connection with unread bytes
/// resets it, and the reset can reach the client before the response does.
async fn linger(body: &mut Incoming) {
    let dropped = async {
        let mut left = limits::LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // On a timeout the client sees the reset.
    let _ = tokio::time::timeout(limits::LINGER, dropped).await;
}
