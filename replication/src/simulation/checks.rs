//! The properties that the simulation checks.
//!
//! During a run, for every node that answers:
//! 1. It never goes back: what it has shown it goes on to show, unless it was copied again. A
//!    revoked key stays revoked.
//! 2. If it says that it has reached the position of a write, it shows the effect of the write.
//! 3. If it considers itself up to date with a primary, it shows every revocation that this primary
//!    has acknowledged with `Wait::AllFresh`.
//!
//! At the end of a run:
//! 4. All nodes hold the same state.
//! 5. Every write that was acknowledged as held by at least one replica is there.
//!
//! Properties 2 and 5 hold for clusters in which the operator can follow the rules (`operator.rs`).

use std::collections::BTreeSet;

use talos_model::{EpochId, Position};

use super::node::Node;
use super::store::{Key, KeyName, Op, Store};
use super::{Violation, note};
use crate::acks::Wait;

/// A write, as its client knows it.
#[derive(Debug)]
pub struct Write {
    pub epoch_id: EpochId,
    pub position: Position,
    pub key: KeyName,
    pub op: Op,
    pub wait: Wait,
    pub acknowledged: bool,
}

/// What a node has shown so far.
#[derive(Debug, Default)]
pub struct Seen {
    generation: u64,
    position: Option<Position>,
    revoked: BTreeSet<KeyName>,
}

fn shows(store: &Store, write: &Write) -> bool {
    match (write.op, store.state.keys.get(&write.key)) {
        (_, Some(Key::Revoked)) | (Op::Issue, Some(Key::Valid)) => true,
        (Op::Revoke, Some(Key::Valid)) | (_, None) => false,
    }
}

/// Whether a node holds the change of a write.
fn holds(store: &Store, write: &Write) -> bool {
    store
        .committed()
        .is_some_and(|committed| store.history().reaches(committed.sequence, write.position))
}

/// Reads from a node, if it answers, and checks properties 1 to 3.
pub fn read(
    node: &mut Node,
    now_ms: u64,
    writes: &[Write],
    acks_min: usize,
) -> Result<(), Violation> {
    let fresh = node.is_fresh(now_ms);
    let store = &node.store;
    let (Some(committed), Some(_)) = (store.committed(), &node.process) else {
        return Ok(());
    };
    let (number, seen) = (node.number, &mut node.seen);
    if seen.generation != store.generation {
        *seen = Seen {
            generation: store.generation,
            ..Seen::default()
        };
    }
    if let Some(before) = seen.position
        && !store.history().reaches(committed.sequence, before)
    {
        return Err(format!(
            "node {number} went back from {before} to {committed}"
        ));
    }
    seen.position = Some(committed);
    for key in &seen.revoked {
        if store.state.keys.get(key) != Some(&Key::Revoked) {
            return Err(format!("node {number} shows key {key} as valid again"));
        }
    }
    let keys = store.state.keys.iter();
    seen.revoked.extend(
        keys.filter(|(_, key)| **key == Key::Revoked)
            .map(|(name, _)| *name),
    );

    for write in writes.iter().filter(|write| write.acknowledged) {
        if acks_min > 0 && holds(store, write) {
            note("demanded position reached");
            if !shows(store, write) {
                return Err(format!(
                    "node {number} at {committed} does not show {write:?}"
                ));
            }
        }
        let by_all = matches!(write.wait, Wait::AllFresh(_)) && write.op == Op::Revoke;
        if fresh && by_all && store.history().newest_id() == write.epoch_id {
            note("read of a fresh replica");
            if !shows(store, write) {
                return Err(format!(
                    "node {number}, up to date, does not show {write:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Checks that two nodes hold the same state.
pub fn equal(one: &Store, other: &Store) -> Result<(), Violation> {
    let (one, other) = (&one.state, &other.state);
    if one.durable != other.durable || one.keys != other.keys {
        return Err(format!("states differ: {one:?} {other:?}"));
    }
    let both = one.log.iter().filter(|(at, _)| other.log.contains_key(at));
    for (at, change) in both {
        if other.log.get(at) != Some(change) {
            return Err(format!("change {at} differs"));
        }
    }
    for state in [one, other] {
        let expected = state.log_after + 1..;
        if !state.log.keys().copied().eq(expected.take(state.log.len())) {
            return Err("a log has a gap".to_owned());
        }
    }
    Ok(())
}

/// Checks that no acknowledged write is lost.
pub fn kept(leader: &Store, writes: &[Write], acks_min: usize) -> Result<(), Violation> {
    if acks_min == 0 {
        return Ok(());
    }
    let lost = writes
        .iter()
        .find(|write| write.acknowledged && !(holds(leader, write) && shows(leader, write)));
    match lost {
        Some(lost) => Err(format!("lost: {lost:?}")),
        None => Ok(()),
    }
}
