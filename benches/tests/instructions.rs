//! Counts the instructions of a proof hit with callgrind: a number that does not depend on how busy
//! the machine is.
//!
//! SHA-256 is left out: valgrind hides the processor's SHA instructions, so the code takes a slower
//! path under it. The count depends on the compiler. `make instructions` records the count of this
//! compiler and this code.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// If set, the test records the count instead of comparing it.
const RECORD: &str = "TALOS_RECORD_INSTRUCTIONS";
/// The accepted increase over the recorded count, in percent.
const TOLERANCE_PERCENT: u64 = 5;
/// The verifications of `proof-hits`, which prints this number.
const PROOF_HITS: u64 = 64 * 50;

fn recorded_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

/// Runs `proof-hits` under callgrind. Returns the instructions of each function without its
/// callees.
fn counted() -> HashMap<String, u64> {
    let scratch = tempfile::tempdir().unwrap();
    let profile = scratch.path().join("profile");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .args([
            "--toggle-collect=*answered_from_memory*",
            "--compress-strings=no",
        ])
        .args(["--compress-pos=no", "--combine-dumps=yes"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env!("CARGO_BIN_EXE_proof-hits"))
        .output()
        .expect("valgrind is needed here; `make setup` installs it");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        PROOF_HITS.to_string()
    );
    functions(&std::fs::read_to_string(profile).unwrap())
}

/// Reads callgrind's format. `fn=` names a function. A line of two numbers is a line of it and its
/// cost. After `calls=`, such a line is the cost of the callee.
fn functions(profile: &str) -> HashMap<String, u64> {
    let mut costs = HashMap::new();
    let (mut function, mut is_callee) = (String::new(), false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            name.clone_into(&mut function);
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let cost = line.split_whitespace().nth(1);
            let cost: u64 = cost.map_or(0, |cost| cost.parse().unwrap());
            if !std::mem::take(&mut is_callee) {
                *costs.entry(function.clone()).or_insert(0) += cost;
            }
        }
    }
    costs
}

#[test]
fn a_proof_hit_takes_no_more_instructions_than_recorded() {
    let functions = counted();
    let hash: u64 = functions
        .iter()
        .filter(|(name, _)| name.contains("sha2"))
        .map(|(_, cost)| cost)
        .sum();
    let all: u64 = functions.values().sum();
    // The costliest functions. A failure shows where the instructions went.
    let mut most: Vec<_> = functions.into_iter().collect();
    most.sort_unstable_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    let report: String = most
        .iter()
        .take(12)
        .map(|(name, cost)| format!("{:>6}  {name}\n", cost / PROOF_HITS))
        .collect();
    assert!(
        hash > 0 && hash < all,
        "SHA-256 is not to be found:\n{report}"
    );

    let count = (all - hash) / PROOF_HITS;
    println!("{count} instructions a proof hit without SHA-256\n{report}");
    if std::env::var_os(RECORD).is_some() {
        std::fs::write(recorded_in(), format!("{count}\n")).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(recorded_in()).expect("`make instructions` records it");
    let recorded: u64 = recorded.trim().parse().unwrap();
    assert!(
        count * 100 <= recorded * (100 + TOLERANCE_PERCENT),
        "a proof hit takes {count} instructions, {recorded} are recorded. If that is meant to be so, record it: make instructions\n{report}"
    );
}

#[test]
fn callees_are_not_counted_twice() {
    let profile = "events: Ir\nfn=a\n10 5\ncalls=1 20\n10 100\n11 2\nfn=b\n20 100\nfn=a\n12 1\n";
    assert_eq!(
        functions(profile),
        HashMap::from([("a".to_owned(), 8), ("b".to_owned(), 100)])
    );
}
