//! Sending changes from the log.

use talos_model::{Position, Sequence};

use super::{Feed, FeedAction, FeedEnd, State, same};
use crate::limits::{BATCH_BYTES, BATCH_CHANGES, CHANGE_BYTES};
use crate::message::{Batch, Message, Plan, Welcome};
use crate::refusal::Refusal;
use crate::source::{Looked, Reading, SourceWork};

impl Feed {
    pub(super) fn on_looked(&mut self, looked: Looked) -> Vec<FeedAction> {
        let State::Looking(point) = self.state else {
            return vec![self.end(FeedEnd::Broken("a look that was not asked for"))];
        };
        let position = point.position;
        match looked {
            Looked::Gone => {
                self.state = State::Opening(None);
                vec![self.work(SourceWork::OpenCopy(None))]
            }
            Looked::Here(ours) if !same(point.digest, ours) => {
                // Where the histories part is unknown: here at the latest.
                let fork = Sequence(position.sequence.0.saturating_sub(1));
                self.refuse(Refusal::Diverged { fork })
            }
            Looked::Here(_) => {
                self.state = State::Streaming(position);
                let welcome = Welcome {
                    history: self.history.clone(),
                    plan: Plan::Feed(position),
                };
                let welcome = FeedAction::Send(Message::Welcome(welcome));
                vec![welcome, self.join(position)]
            }
        }
    }

    pub(super) fn on_read(&mut self, reading: Reading) -> FeedAction {
        let State::Streaming(sent) = self.state else {
            return self.end(FeedEnd::Broken("changes that were not asked for"));
        };
        match reading {
            Reading::Changes(batch) => self.send_batch(sent, batch),
            Reading::None => self.end(FeedEnd::Broken("no changes where there must be some")),
            Reading::Gone => self.end(FeedEnd::Gone),
        }
    }

    pub(super) fn send_batch(&mut self, after: Position, batch: Batch) -> FeedAction {
        let last = batch.last();
        let of_one_epoch = self.history.epoch_of(batch.first.sequence) == Some(last.epoch)
            && self.history.epoch_of(last.sequence) == Some(last.epoch);
        if batch.first.sequence != after.sequence.next() || !of_one_epoch {
            return self.end(FeedEnd::Broken("changes that do not follow"));
        }
        if last.sequence > self.committed.sequence {
            return self.end(FeedEnd::Broken("changes that are not durable"));
        }
        // No replica would accept these. Refused here, so that they do not break one connection
        // after the other.
        let fits = |change: &Vec<u8>| change.len() <= CHANGE_BYTES;
        if batch.changes.len() > BATCH_CHANGES || !batch.changes.iter().all(fits) {
            return self.end(FeedEnd::Broken("changes beyond the bounds"));
        }
        self.state = State::Streaming(last);
        self.room = false;
        FeedAction::Send(Message::Changes(batch))
    }

    pub(super) fn read_after(&self, after: Position) -> SourceWork {
        SourceWork::Read {
            after,
            up_to: self.committed.sequence,
            bytes_max: BATCH_BYTES,
        }
    }
}
