//! The operator promotes nodes, points nodes to the primary, and resyncs diverged nodes.
//!
//! In a cluster of N nodes that acknowledges writes when k replicas have them, an acknowledged
//! write is on 1 + k nodes. It cannot be lost if the operator follows these rules: take N − k nodes
//! with complete copies, stop them from following, promote the one with the greatest position to an
//! unused epoch, and point the others to it. With k = 0 no write needs to survive: the operator
//! then takes any node, and sometimes an epoch that another node has used.

use talos_model::{Epoch, EpochId};

use super::node::{Process, Role};
use super::note;
use super::world::World;
use crate::follow::Stop;
use crate::sink::ChangeSink;

impl World {
    pub fn promote(&mut self) {
        let complete = |number: &usize| {
            let node = &self.nodes[*number];
            node.process.is_some() && node.store.committed().is_some()
        };
        let mut chosen: Vec<_> = (0..self.nodes.len()).filter(complete).collect();
        let needed = match self.acks_min {
            0 => 1,
            acks => self.nodes.len() - acks,
        };
        if chosen.len() < needed {
            return;
        }
        while chosen.len() > needed && self.random.one_in(2) {
            chosen.remove(self.random.below(chosen.len()));
        }
        for number in &chosen {
            self.stop(*number);
        }
        let place = |number: &usize| self.nodes[*number].store.committed();
        let Some(best) = chosen.iter().copied().max_by_key(place) else {
            return;
        };
        let newest = chosen
            .iter()
            .map(|number| self.nodes[*number].store.history().newest());
        let next = newest.max().map_or(0, |epoch| epoch.0) + 1;
        let reused = self.acks_min == 0 && self.random.one_in(2);
        let epoch = if reused {
            next
        } else {
            next.max(self.epochs + 1)
        };
        self.promote_to(best, Epoch(epoch));
        for number in chosen {
            if number != best {
                self.nodes[number].role = Role::Replica(best);
            }
            self.start(number);
        }
    }

    /// Makes a stopped node the primary of an epoch.
    pub fn promote_to(&mut self, number: usize, epoch: Epoch) {
        note("promotion");
        let id = EpochId(self.random.array());
        let node = &mut self.nodes[number];
        let committed = node.store.committed().expect("its copy is complete");
        let history = node.store.history().promoted(epoch, id, committed.sequence);
        node.store.adopt(&history.unwrap()).unwrap();
        node.role = Role::Primary;
        self.epochs = self.epochs.max(epoch.0);
        self.leader = number;
    }

    /// Points a node to the primary.
    pub fn repoint(&mut self, number: usize) {
        if number == self.leader {
            return;
        }
        if self.nodes[number].role == Role::Primary {
            note("return of an old primary");
        }
        let mistaken = self.random.one_in(2).then(|| self.mistaken(number));
        let target = mistaken.flatten().unwrap_or(self.leader);
        let role = Role::Replica(target);
        if self.nodes[number].replica().is_some() && self.random.one_in(2) {
            // A replica can change its primary while it runs.
            self.nodes[number].role = role;
            self.nodes[number].leave(&mut self.network);
            return;
        }
        let up = self.nodes[number].process.is_some();
        self.stop(number);
        self.nodes[number].role = role;
        if up {
            self.start(number);
        }
    }

    /// An old primary to which the operator points a node by mistake. The node must refuse it,
    /// unless no write needs to survive.
    fn mistaken(&mut self, number: usize) -> Option<usize> {
        let newest = self.nodes[number].store.history().newest();
        let wrong = |target: &usize| {
            let node = &self.nodes[*target];
            let older = node.store.history().newest() < newest || self.acks_min == 0;
            node.role == Role::Primary && *target != self.leader && *target != number && older
        };
        let wrong: Vec<_> = (0..self.nodes.len()).filter(wrong).collect();
        self.random.pick(&wrong).copied()
    }

    /// Resyncs a diverged node.
    pub fn resync(&mut self, number: usize) {
        if let Some(Process::Replica(replica)) = &mut self.nodes[number].process
            && matches!(replica.follow.stop(), Some(Stop::Diverged { .. }))
        {
            replica.follow.resync();
        }
    }
}
