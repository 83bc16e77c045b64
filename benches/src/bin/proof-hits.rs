//! Verifies keys whose proofs are in memory. The test `instructions` counts the instructions of
//! [`answered_from_memory`] only.

use std::process::ExitCode;

use talos_benches::Scratch;
use talos_model::CacheMode;

/// More than one key, so that a lucky slot in a table does not decide.
const KEYS: usize = 64;
const ROUNDS: usize = 50;

fn main() -> ExitCode {
    let scratch = Scratch::new(1 << 20);
    let keys = scratch.issue(KEYS);
    // The first verification proves a key, the second one notes where its answer is.
    for _ in 0..2 {
        if !keys.iter().all(|key| scratch.verify(key, CacheMode::Use)) {
            eprintln!("proof-hits: a key is not valid");
            return ExitCode::FAILURE;
        }
    }
    println!("{}", answered_from_memory(&scratch, &keys));
    ExitCode::SUCCESS
}

/// How many verifications were answered from memory with "valid".
#[inline(never)]
fn answered_from_memory(scratch: &Scratch, keys: &[String]) -> usize {
    let valid = |_| {
        keys.iter()
            .filter(|key| scratch.verify(key, CacheMode::Use))
            .count()
    };
    (0..ROUNDS).map(valid).sum()
}
