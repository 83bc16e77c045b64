//! The agreement with the primary on what it sends.

use talos_model::{Divergence, Sequence};

use super::{FollowAction, FollowEnd, Follower, State, Stop};
use crate::divergence::compare;
use crate::lag::Lag;
use crate::message::{FollowRequest, LogPoint, Message, Plan, StartFrom, Welcome};
use crate::refusal::Refusal;
use crate::sink::{Progress, SinkWork};

impl Follower {
    /// The connection to a primary is open: the handshake is complete.
    pub fn on_connected(&mut self, now_ms: u64) -> Vec<FollowAction> {
        self.heard_ms = now_ms;
        self.update_sent_ms = now_ms;
        let start = match &self.durable_state.progress {
            _ if self.fresh => StartFrom::Nothing,
            Progress::At(position) => StartFrom::Change(LogPoint {
                position: *position,
                digest: self.durable_state.last,
            }),
            Progress::Copying(place) => StartFrom::Copy(place.clone()),
        };
        self.history = self.durable_state.history.clone();
        self.state = State::Asking(start.clone());
        vec![FollowAction::Send(Message::Follow(FollowRequest {
            history: self.history.clone(),
            start,
            max_staleness_ms: self.max_staleness_ms,
        }))]
    }

    pub(super) fn on_welcome(
        &mut self,
        now_ms: u64,
        start: &StartFrom,
        welcome: Welcome,
    ) -> Vec<FollowAction> {
        let Welcome { history, plan } = welcome;
        let held = match start {
            StartFrom::Change(point) => point.position.sequence,
            StartFrom::Nothing | StartFrom::Copy(_) => Sequence(0),
        };
        // The primary has compared already. The replica compares again, because its own data is at
        // stake.
        let divergence = compare(
            &history,
            Sequence(u64::MAX),
            &self.durable_state.history,
            held,
        );
        let begins_anew = match &plan {
            Plan::Feed(_) => false,
            Plan::Copy(place) => !matches!(start, StartFrom::Copy(asked) if asked == place),
        };
        match divergence {
            Divergence::PrimaryIsOlder { newest } => {
                let refusal = Refusal::Older { epoch: newest };
                return vec![
                    FollowAction::Send(Message::Refused(refusal)),
                    self.end(FollowEnd::Refuses(refusal)),
                ];
            }
            Divergence::Diverged { fork } => return vec![self.diverged(fork, held)],
            Divergence::None => {}
        }
        let mut actions = vec![];
        if history.newest_id() != self.history.newest_id() || begins_anew {
            // Promises of another primary say nothing about this one.
            self.lag = Lag::new(if begins_anew { Sequence(0) } else { held });
        }
        if history != self.history && !begins_anew {
            actions.push(self.work(SinkWork::Adopt(history.clone())));
        }
        self.history = history;
        match plan {
            Plan::Feed(from) if matches!(start, StartFrom::Change(point) if point.position == from) =>
            {
                self.state = State::Following(from);
                actions.push(self.status_update(now_ms, Some(from)));
            }
            Plan::Feed(_) => return vec![self.end(FollowEnd::Protocol("a feed from elsewhere"))],
            Plan::Copy(place) => {
                if begins_anew {
                    let work = SinkWork::BeginCopy(self.history.clone(), place.clone());
                    actions.push(self.work(work));
                }
                self.state = State::Copying(place);
            }
        }
        actions
    }

    pub(super) fn on_refused(&mut self, start: &StartFrom, refusal: Refusal) -> Vec<FollowAction> {
        let action = match (refusal, start) {
            (Refusal::Diverged { fork }, StartFrom::Change(point)) => {
                self.diverged(fork, point.position.sequence)
            }
            _ => self.end(FollowEnd::Refused(refusal)),
        };
        vec![action]
    }

    pub(super) fn diverged(&mut self, fork: Sequence, held: Sequence) -> FollowAction {
        self.stop = Some(Stop::Diverged { fork, held });
        self.end(FollowEnd::Refused(Refusal::Diverged { fork }))
    }
}
