//! A simulated cluster in one thread: nodes with model storage, a network, clients and an operator,
//! all driven by one seed.
//!
//! A run has several hundred steps. Bytes arrive in pieces, late, or not at all. Connections break
//! anywhere. Nodes crash between any two steps and lose unsynced data. Time jumps. The operator
//! promotes replicas, takes old primaries back, and resyncs diverged nodes. In between clients
//! write and read. Then all faults end, and the cluster must settle with equal states. The checked
//! properties are in `checks.rs`.
//!
//! `TALOS_REPLICATION_RUNS` sets the number of runs, `TALOS_REPLICATION_SEED` the first seed. A
//! failure prints its seed.

mod checks;
mod network;
mod node;
mod operator;
pub(crate) mod store;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

pub use checks::Seen;
use store::{KeyName, Sync};
use world::World;

use crate::failpoint::{Failpoint, enable};
use crate::follow::Follower;
use crate::message::{Plan, Welcome};
use crate::sink::Progress;

/// Runs of the normal test. Every failpoint is found within this number.
const RUNS: u64 = 1500;
const STEPS: usize = 700;
const MAX_STALENESS_MS: u64 = 800;

thread_local! {
    /// How often each noteworthy event happened.
    static NOTES: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    /// A contract between state machines that was violated in this run.
    static VIOLATED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

fn note(what: &'static str) {
    NOTES.with_borrow_mut(|notes| *notes.entry(what).or_default() += 1);
}

fn violated(what: &'static str) -> &'static str {
    VIOLATED.set(Some(what));
    what
}

fn note_plan(follow: &Follower, welcome: &Welcome) {
    note(match (&welcome.plan, &follow.durable_state().progress) {
        (Plan::Feed(_), _) => "feed",
        (Plan::Copy(place), Progress::Copying(held)) if held == place => "copy resumed",
        (Plan::Copy(_), Progress::Copying(_)) => "copy begun anew",
        (Plan::Copy(_), Progress::At(_)) => "copy begun",
    });
}

/// A property that does not hold.
type Violation = String;

fn run(seed: u64, sync: Sync) -> Result<(), Violation> {
    VIOLATED.set(None);
    let mut world = World::new(seed, sync);
    for _ in 0..STEPS {
        world.step()?;
        if let Some(what) = VIOLATED.get() {
            return Err(what.to_owned());
        }
    }
    world.come_to_rest()
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn promises_hold_whatever_breaks() {
    let first = setting("TALOS_REPLICATION_SEED", 1);
    let runs = setting("TALOS_REPLICATION_RUNS", RUNS);
    for seed in first..first + runs {
        if let Err(violation) = run(seed, Sync::Always) {
            panic!("TALOS_REPLICATION_SEED={seed} TALOS_REPLICATION_RUNS=1: {violation}");
        }
    }
    let notes = NOTES.with_borrow(Clone::clone);
    println!("{notes:#?}");
    if runs >= RUNS {
        for expected in [
            "handshake",
            "feed",
            "batch",
            "copy begun",
            "copy resumed",
            "copy begun anew",
            "diverged replica refused",
            "primary replaced",
            "gap refused",
            "feed fell behind",
            "feed fell silent",
            "follower fell silent",
            "write acknowledged",
            "write acknowledged by all that are fresh",
            "write timed out",
            "promotion",
            "return of an old primary",
            "primary brought back from a backup",
            "read of a fresh replica",
            "demanded position reached",
        ] {
            assert!(notes.contains_key(expected), "never happened: {expected}");
        }
    }
}

#[test]
fn one_seed_is_one_run() {
    let notes = || {
        NOTES.take();
        run(7, Sync::Always).unwrap();
        NOTES.take()
    };
    assert_eq!(notes(), notes());
}

/// How many runs it takes to find a defect.
fn found_after(failpoint: Option<Failpoint>, sync: Sync) -> u64 {
    enable(failpoint);
    let found = (1..=RUNS).find(|seed| run(*seed, sync).is_err());
    enable(None);
    let found = found.unwrap_or_else(|| panic!("not found in {RUNS} runs: {failpoint:?} {sync:?}"));
    println!("{failpoint:?} {sync:?}: found in run {found}");
    found
}

#[test]
fn a_skipped_sync_is_found() {
    found_after(None, Sync::Skipped);
}

#[test]
fn an_accepted_gap_is_found() {
    found_after(Some(Failpoint::AcceptedGap), Sync::Always);
}

#[test]
fn an_ignored_epoch_is_found() {
    found_after(Some(Failpoint::IgnoredEpoch), Sync::Always);
}

#[test]
fn an_ignored_digest_is_found() {
    found_after(Some(Failpoint::IgnoredDigest), Sync::Always);
}

#[test]
fn an_early_acknowledgement_is_found() {
    found_after(Some(Failpoint::EarlyAck), Sync::Always);
}

#[test]
fn a_forgotten_lease_is_found() {
    found_after(Some(Failpoint::NoLease), Sync::Always);
}
