//! A connection beyond the bound, accepted while every other connection of the worker is busy.
//!
//! Guarantees: it gets an answer about the health of the server and nothing else, and ends with it;
//! if a place has become free before it has asked, it is served as any other connection.

use talos_api::error::ApiError;

use super::close::Leftover;
use super::receive::Received;
use super::state::{Closed, Connection};
use crate::health_routes::{ReservedStep, advance_reserved};
use crate::stream::Stream;

impl<S: Stream> Connection<S> {
    /// Answers one question about the health of the server.
    pub(super) async fn serve_reserved(mut self) -> Result<(), Closed> {
        if S::HAS_HANDSHAKE {
            self.open().await?;
        }
        loop {
            match self.guarded(advance_reserved) {
                ReservedStep::Answered => return self.finish(Leftover::Possible).await,
                ReservedStep::NoQuestionOfHealth => {
                    if !self.core.is_full() {
                        self.slot.leave_reserve();
                        return self.serve_requests().await;
                    }
                    self.core.metrics.overloads.increment();
                    self.refuse(&ApiError::service_unavailable(
                        "this server has as many connections as it may have, and all are busy; try again",
                    ));
                    return self.finish(Leftover::Possible).await;
                }
                ReservedStep::NeedHead => match self.receive_head().await? {
                    Received::Enough => {}
                    Received::TooLate if !self.input.is_empty() => return self.time_out().await,
                    Received::Refused => return self.finish(Leftover::Possible).await,
                    Received::TooLate | Received::End => return self.finish(Leftover::None).await,
                },
            }
        }
    }
}
