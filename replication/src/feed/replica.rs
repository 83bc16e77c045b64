//! What the replica asks for and acknowledges.

use talos_model::{Divergence, Position};

use super::{Feed, FeedAction, FeedEnd, Moment, State};
use crate::divergence::compare;
use crate::message::{FollowRequest, StartFrom, StatusUpdate};
use crate::refusal::Refusal;
use crate::source::SourceWork;

impl Feed {
    pub(super) fn on_follow(&mut self, follow: FollowRequest) -> Vec<FeedAction> {
        self.max_staleness_ms = follow.max_staleness_ms;
        let held = match &follow.start {
            StartFrom::Change(point) => point.position.sequence,
            StartFrom::Nothing => Position::START.sequence,
            StartFrom::Copy(place) => place.position.sequence,
        };
        let divergence = compare(
            &self.history,
            self.committed.sequence,
            &follow.history,
            held,
        );
        let work = match (divergence, follow.start) {
            (Divergence::PrimaryIsOlder { newest }, _) => {
                let refusal = Refusal::Older {
                    epoch: self.history.newest(),
                };
                let mut actions = vec![FeedAction::Replaced(newest)];
                actions.extend(self.refuse(refusal));
                return actions;
            }
            (Divergence::Diverged { fork }, StartFrom::Change(_)) => {
                return self.refuse(Refusal::Diverged { fork });
            }
            // A replica that starts over keeps nothing, so its history does not matter. The same
            // goes for a copy that was begun from another history.
            (_, StartFrom::Nothing) | (Divergence::Diverged { .. }, StartFrom::Copy(_)) => {
                self.state = State::Opening(None);
                SourceWork::OpenCopy(None)
            }
            (Divergence::None, StartFrom::Copy(place)) => {
                let copy = place.name;
                self.state = State::Opening(Some(place));
                SourceWork::OpenCopy(Some(copy))
            }
            (Divergence::None, StartFrom::Change(point)) => {
                self.state = State::Looking(point);
                SourceWork::Look(point.position)
            }
        };
        vec![self.work(work)]
    }

    pub(super) fn on_status_update(
        &mut self,
        moment: Moment,
        status_update: StatusUpdate,
    ) -> Vec<FeedAction> {
        let sent = match &self.state {
            State::Streaming(sent) => *sent,
            State::Asked => {
                return vec![self.end(FeedEnd::Protocol("a status update before a request"))];
            }
            _ => return vec![],
        };
        let Some(durable) = status_update.durable else {
            return vec![];
        };
        if durable.sequence > sent.sequence {
            return vec![self.end(FeedEnd::Protocol("it has what it was not sent"))];
        }
        let mut actions = vec![];
        if let Some(place) = &self.unconfirmed {
            if durable.sequence < place.position.sequence {
                return vec![];
            }
            actions.push(FeedAction::Work(SourceWork::CloseCopy(place.name)));
            self.unconfirmed = None;
        }
        if !self.joined {
            // The first promise of freshness waits for the next status update. Writes that were
            // acknowledged before the replica joined may lie beyond the committed position of this
            // moment, but not of a later one.
            actions.push(self.join(durable));
            return actions;
        }
        let first = self.echo_ms.is_none();
        self.echo_ms = Some(status_update.sent_ms);
        actions.push(FeedAction::Acknowledged(durable));
        if first {
            // The replica becomes fresh with this heartbeat: do not let it wait.
            actions.push(self.heartbeat(moment));
        }
        actions
    }

    pub(super) fn join(&mut self, durable: Position) -> FeedAction {
        self.joined = true;
        FeedAction::Joined {
            durable,
            max_staleness_ms: self.max_staleness_ms,
        }
    }
}
