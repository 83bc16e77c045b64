//! Taking changes and rows.

use talos_model::{CopyEnd, CopyPlace, Position, Sequence};

use super::{FollowAction, FollowEnd, Follower, State};
use crate::limits::GAPS_IN_A_ROW;
use crate::message::{Batch, Chunk};
use crate::sink::SinkWork;

impl Follower {
    pub(super) fn on_changes(&mut self, last: Position, batch: Batch) -> Vec<FollowAction> {
        let (first, new_last) = (batch.first, batch.last());
        let of_its_epoch = self.history.epoch_of(first.sequence) == Some(first.epoch)
            && self.history.epoch_of(new_last.sequence) == Some(first.epoch);
        let follows = first.sequence == last.sequence.next()
            || (crate::failpoint::accepts_gaps() && first.sequence > last.sequence);
        if !follows || !of_its_epoch {
            return vec![self.gap(last.sequence)];
        }
        self.state = State::Following(new_last);
        let mut actions = vec![self.work(SinkWork::Apply(batch))];
        if crate::failpoint::acknowledges_early() {
            actions.push(self.status_update(self.heard_ms, Some(new_last)));
        }
        actions
    }

    pub(super) fn on_chunk(&mut self, mut place: CopyPlace, chunk: Chunk) -> Vec<FollowAction> {
        if chunk.copy != place.name
            || chunk.position != place.position
            || chunk.after != place.cursor
        {
            return vec![self.gap(place.position.sequence)];
        }
        place.cursor = chunk.cursor();
        self.state = match chunk.end {
            CopyEnd::More => State::Copying(place),
            CopyEnd::Last => State::Following(place.position),
        };
        vec![self.work(SinkWork::Install(chunk))]
    }

    pub(super) fn gap(&mut self, expected: Sequence) -> FollowAction {
        if self.gaps_at != expected {
            self.gaps = 0;
        }
        self.gaps_at = expected;
        self.gaps += 1;
        if self.gaps >= GAPS_IN_A_ROW {
            self.gaps = 0;
            self.fresh = true;
        }
        self.end(FollowEnd::Gap { expected })
    }
}
