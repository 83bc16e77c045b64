//! The buffers of a connection, and the memory that they count for.
//!
//! Guarantee: every buffer counts with its capacity, before it grows where its growth is decided
//! here, and at the next write otherwise.

use std::mem;

use talos_api::error::ApiError;

use super::state::Connection;
use crate::limits;
use crate::step::PendingControl;
use crate::stream::Stream;

impl<S: Stream> Connection<S> {
    /// Makes room for more input. `most` is the length beyond which no input is needed. Returns
    /// false when the budget has no room.
    pub(super) fn make_room(&mut self, most: usize) -> bool {
        let own = self.stream.growth();
        if own > 0 {
            if !self.may_hold(self.capacity() + own) {
                return false;
            }
            self.stream.grow();
        }
        let (length, capacity) = (self.input.len(), self.input.capacity());
        let spare = capacity - length;
        if spare >= limits::BUFFER_BYTES / 4 || (spare > 0 && capacity >= most) {
            return true;
        }
        // Doubling copies O(n) bytes in all for a body of n bytes.
        let next = capacity
            .saturating_mul(2)
            .min(most)
            .max(length + limits::BUFFER_BYTES / 4);
        let granted = self.may_hold(self.capacity() + next - capacity);
        if granted {
            self.input.reserve_exact(next - length);
            self.count();
        }
        granted
    }

    /// Makes room for `more` bytes of a decoded body, as [`Self::make_room`] does for input.
    pub(super) fn make_body_room(&mut self, more: usize, most: usize) -> bool {
        let (length, capacity) = (self.body.len(), self.body.capacity());
        if capacity - length >= more || capacity >= most {
            return true;
        }
        let next = capacity.saturating_mul(2).max(length + more).min(most);
        let granted = self.may_hold(self.capacity() + next - capacity);
        if granted {
            self.body.reserve_exact(next - length);
            self.count();
        }
        granted
    }

    /// Replaces the answer to the current request, for which there is no memory, by a 503.
    pub(super) fn refuse_answer(&mut self) {
        self.output.truncate(self.answer_start);
        self.output.shrink_to(limits::BUFFER_BYTES);
        self.core.metrics.overloads.increment();
        self.refuse(&out_of_memory());
    }

    /// Counts so many bytes instead, if the budget has room.
    pub(super) fn may_hold(&self, bytes: usize) -> bool {
        self.slot.hold(bytes, self.core.now())
    }

    /// Counts the buffers as they are, even beyond the budget.
    pub(super) fn count(&self) {
        self.slot.hold_anyway(self.capacity());
    }

    /// The memory that counts against the budget, in bytes.
    pub(super) fn capacity(&self) -> usize {
        let grown = |buffer: &Vec<u8>| buffer.capacity().saturating_sub(limits::BUFFER_BYTES);
        grown(&self.input)
            + grown(&self.output)
            + self.body.capacity()
            + self.handed_over
            + self.stream.held()
    }

    /// Frees what the stream does not need while it waits for a request.
    pub(super) fn shrink_stream(&mut self) {
        if self.stream.held() > 0 {
            self.stream.shrink();
            self.count();
        }
    }

    /// Removes the answered requests from the input.
    pub(super) fn forget_answered(&mut self) {
        let before = self.input.capacity();
        if self.answered >= self.input.len() {
            let input = mem::take(&mut self.input);
            self.input = self.emptied(input);
        } else {
            self.input.drain(..self.answered);
            if before > limits::BUFFER_KEPT_BYTES {
                self.input.shrink_to(limits::BUFFER_BYTES);
            }
        }
        self.answered = 0;
        if self.input.capacity() != before {
            self.count();
        }
    }

    /// Drops the input and the body of a request that was refused.
    pub(super) fn forget_all(&mut self) {
        self.input = Vec::with_capacity(limits::BUFFER_BYTES);
        self.answered = 0;
        self.body = Vec::new();
        self.count();
    }

    /// Drops a request that the control plane has copied. The copy counts until the answer is
    /// there.
    pub(super) fn forget_handed_over(&mut self, pending: &mut PendingControl) {
        let copied = pending.consumed + self.body.capacity();
        if copied <= limits::BUFFER_KEPT_BYTES {
            return;
        }
        self.handed_over = copied;
        self.answered += mem::take(&mut pending.consumed);
        self.body = Vec::new();
        self.is_body_whole = false;
        self.forget_answered();
        self.count();
    }

    /// Clears `buffer`, and replaces its memory if it has grown large or memory is scarce.
    pub(super) fn emptied(&self, mut buffer: Vec<u8>) -> Vec<u8> {
        if keeps(
            buffer.capacity(),
            self.core.connections.memory().is_half_free(),
        ) {
            buffer.clear();
            return buffer;
        }
        Vec::with_capacity(limits::BUFFER_BYTES)
    }
}

/// The error for a request or an answer that does not fit into memory.
pub(super) fn out_of_memory() -> ApiError {
    ApiError::service_unavailable(
        "other requests and answers use all the memory that is set apart for them; try again",
    )
}

/// Whether an empty buffer is kept for the next request.
fn keeps(capacity: usize, is_half_free: bool) -> bool {
    capacity <= limits::BUFFER_BYTES || (is_half_free && capacity <= limits::BUFFER_KEPT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grown_buffers_are_kept_only_while_memory_is_free() {
        for (capacity, is_half_free, wanted) in [
            (limits::BUFFER_BYTES, false, true),
            (limits::BUFFER_BYTES + 1, false, false),
            (limits::BUFFER_KEPT_BYTES, true, true),
            (limits::BUFFER_KEPT_BYTES + 1, true, false),
        ] {
            assert_eq!(keeps(capacity, is_half_free), wanted, "{capacity}");
        }
    }
}
