//! Reading a whole request body, bounded in size, time and memory.
//!
//! Guarantees: a body takes memory as it arrives, not when it is announced; a client that stops
//! sending loses its memory after [`limits::BODY_PACE`].

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use talos_api::error::ApiError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::limits;

const KIB: usize = 1024;

/// The memory budgets for bodies, shared by all requests. One permit is 1 KiB. Small bodies have a
/// budget of their own, so that large ones leave room for them.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudgets {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

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

/// A body that is being read, with its share of the budget.
#[derive(Default)]
struct Arriving {
    bytes: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudgets {
    /// Budgets of which nothing is in use.
    pub(crate) fn new() -> Self {
        let budget = |bytes| Arc::new(Semaphore::new(bytes / KIB));
        Self {
            small: budget(limits::SMALL_BODIES_BYTES),
            large: budget(limits::LARGE_BODIES_BYTES),
        }
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
        let announced = body.size_hint().lower();
        if announced > limits::BODY_BYTES as u64 {
            if start == BodyStart::Immediate {
                linger(&mut body).await;
            }
            return Err(ApiError::payload_too_large().limit(limits::BODY_BYTES));
        }
        // The length of a chunked body is not announced.
        let most = match body.size_hint().exact().map(usize::try_from) {
            Some(Ok(length)) => length,
            _ => limits::BODY_BYTES,
        };
        let mut arriving = Arriving::default();
        let end = Instant::now() + limits::BODY;
        let mut stretch_end = end.min(Instant::now() + limits::BODY_PACE);
        let mut stretch = 0;
        loop {
            let frame = match timeout_at(stretch_end, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Ok(arriving.whole()),
                Ok(Some(Err(_))) => return Err(ApiError::bad_request("the body broke off")),
                Err(_) => return Err(ApiError::timeout()),
            };
            // Other frames are trailers, which are ignored.
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if data.len() > limits::BODY_BYTES - arriving.bytes.len() {
                drop(arriving);
                linger(&mut body).await;
                return Err(ApiError::payload_too_large().limit(limits::BODY_BYTES));
            }
            if !arriving.add(data, most, self) {
                let message = "too many requests are being read; try again";
                return Err(ApiError::service_unavailable(message));
            }
            stretch += data.len();
            if stretch >= limits::BODY_PACE_BYTES {
                stretch = 0;
                stretch_end = end.min(Instant::now() + limits::BODY_PACE);
            }
        }
    }
}

impl Arriving {
    /// Adds `data`. `most` is how long the body can become. Returns false when the budget is used
    /// up.
    fn add(&mut self, data: &[u8], most: usize, budgets: &BodyBudgets) -> bool {
        let length = self.bytes.len() + data.len();
        let capacity = self.bytes.capacity();
        if length > capacity {
            let next = capacity.saturating_mul(2).min(most).max(length);
            let budget = if next > limits::SMALL_BODY_BYTES {
                &budgets.large
            } else {
                &budgets.small
            };
            let Some(permit) = reserve(budget, next) else {
                return false;
            };
            // The buffer may be copied, so both shares are held until it has grown.
            self.bytes.reserve_exact(next - self.bytes.len());
            self.permit = Some(permit);
        }
        self.bytes.extend_from_slice(data);
        true
    }

    fn whole(self) -> WholeBody {
        WholeBody {
            bytes: self.bytes.into(),
            _permit: self.permit,
        }
    }
}

fn reserve(budget: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let kib = u32::try_from(bytes.div_ceil(KIB)).ok()?;
    Arc::clone(budget).try_acquire_many_owned(kib).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn free(budgets: &BodyBudgets) -> (usize, usize) {
        let left = |budget: &Semaphore| budget.available_permits() * KIB;
        (left(&budgets.small), left(&budgets.large))
    }

    #[test]
    fn a_body_takes_from_the_budgets_what_has_arrived() {
        let budgets = BodyBudgets::new();
        let nothing_used = free(&budgets);
        let (small, large) = nothing_used;
        let mut arriving = Arriving::default();
        assert_eq!(
            free(&budgets),
            nothing_used,
            "an announcement takes nothing"
        );
        assert!(arriving.add(&[0; 100], limits::BODY_BYTES, &budgets));
        assert_eq!(free(&budgets), (small - KIB, large));
        while arriving.bytes.len() <= limits::SMALL_BODY_BYTES {
            assert!(arriving.add(&[0; 1000], limits::BODY_BYTES, &budgets));
        }
        let (small_now, large_now) = free(&budgets);
        assert_eq!(small_now, small, "it is no small body any more");
        assert!(
            (limits::SMALL_BODY_BYTES..4 * limits::SMALL_BODY_BYTES).contains(&(large - large_now))
        );
        let whole = arriving.whole();
        assert_eq!(free(&budgets), (small_now, large_now));
        drop(whole);
        assert_eq!(free(&budgets), nothing_used);
    }

    #[test]
    fn small_bodies_have_room_whatever_large_ones_take() {
        let budgets = BodyBudgets::new();
        let mut large = Vec::new();
        let full = vec![0; limits::BODY_BYTES];
        loop {
            let mut arriving = Arriving::default();
            if !arriving.add(&full, full.len(), &budgets) {
                break;
            }
            large.push(arriving);
        }
        assert_eq!(large.len(), limits::LARGE_BODIES_BYTES / limits::BODY_BYTES);
        assert!(Arriving::default().add(&[0; KIB], limits::BODY_BYTES, &budgets));
    }
}
