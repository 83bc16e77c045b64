//! Reading a request's body whole, within bounds of size, time and memory.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use talos_api::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;

const KIB: usize = 1024;

/// The memory for large bodies, shared by all requests.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies(Arc<Semaphore>);

/// A body that was read. Its share of the memory for large ones is given back when this is dropped.
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Whether the client sends the body only when it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// It sends.
    Sends,
    /// It waits for `100 Continue`.
    Waits,
}

impl LargeBodies {
    /// All of it is free.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(limits::LARGE_BODIES_BYTES / KIB)))
    }

    fn share(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(kib).ok()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// 413 when it is too large, 408 when it does not arrive in time, 400 when it breaks off, 503 when there is no memory
    /// for it. Nothing can follow on the connection then.
    pub(crate) async fn read(
        &self,
        mut body: Incoming,
        sender: Sender,
    ) -> Result<WholeBody, ApiError> {
        let length = body.size_hint().upper().map(usize::try_from);
        let length = match length {
            // Whoever does not say how long it is may send the most.
            None => limits::BODY_BYTES,
            Some(Ok(length)) if length <= limits::BODY_BYTES => length,
            Some(_) => {
                if sender == Sender::Sends {
                    linger(&mut body).await;
                }
                return Err(ApiError::payload_too_large());
            }
        };
        let mut share = None;
        if length > limits::SMALL_BODY_BYTES {
            share = self.share(length);
            if share.is_none() {
                let message = "too many large requests are being read; try again";
                return Err(ApiError::service_unavailable(message));
            }
        }
        let limited = Limited::new(&mut body, limits::BODY_BYTES).collect();
        match tokio::time::timeout(limits::BODY, limited).await {
            Ok(Ok(collected)) => Ok(WholeBody {
                bytes: collected.to_bytes(),
                _share: share,
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

/// Reads on for a while what nobody wants, because a connection that is closed before all was read is reset, and a reset
/// overtakes the answer.
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
    // When the time is over the client sees a reset.
    let _ = tokio::time::timeout(limits::LINGER, dropped).await;
}
