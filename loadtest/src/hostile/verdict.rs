//! Whether a run has failed, and why.

use super::report::{HostileReport, Round};
use crate::numbers::mebibytes;

/// At this share of its time the core of the load and of the hostile clients has none left.
const SATURATED: f64 = 0.95;
/// If requests are sent later than this, the load had not enough of its core, in microseconds.
const LATE_US: f64 = 20_000.0;

/// Whether a round says nothing of the server, because the load could not be sent.
#[must_use]
pub fn is_disturbed(round: &Round) -> bool {
    let busy = round.attacked.load_cpu_share + round.attackers_cpu_share;
    busy >= SATURATED || round.attacked.lateness_p99_us > LATE_US
}

/// The median of the ratios of the rounds that are not disturbed.
#[must_use]
pub fn median_ratio(rounds: &[Round]) -> Option<f64> {
    let usable = rounds.iter().filter(|round| !round.disturbed);
    let mut ratios: Vec<_> = usable.map(|round| round.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let upper = ratios.get(ratios.len() / 2)?;
    let lower = ratios.get(ratios.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Why the run has failed. `log` is the server's log, `ended` says that its process has ended.
#[must_use]
pub fn failures(
    report: &HostileReport,
    rate_floor: Option<f64>,
    log: &str,
    ended: bool,
) -> Vec<String> {
    let mut failures = Vec::new();
    let parts = || {
        let rounds = report.rounds.iter();
        rounds.flat_map(|round| [&round.calm, &round.attacked])
    };
    let wrong: u64 = parts().map(|part| part.wrong).sum();
    if wrong > 0 {
        failures.push(format!("{wrong} wrong verdicts"));
    }
    if parts().any(|part| part.answers == 0) && !report.interrupted {
        failures.push("a part of a round without any answer".to_owned());
    }
    let breaches: u64 = report.attacks.iter().map(|row| row.breaches).sum();
    if breaches > 0 {
        failures.push(format!("{breaches} breaches"));
    }
    if report.newcomers.failed > 0 {
        failures.push(format!(
            "{} of {} new connections had no right answer",
            report.newcomers.failed,
            report.newcomers.failed + report.newcomers.answered
        ));
    }
    match report.memory.peak_bytes {
        Some(peak) if peak > report.memory.limit_bytes => failures.push(format!(
            "resident memory of {}, limit {}",
            mebibytes(peak as f64),
            mebibytes(report.memory.limit_bytes as f64)
        )),
        Some(_) => {}
        None => failures.push("the server's memory could not be read".to_owned()),
    }
    if ended {
        failures.push("the server has ended".to_owned());
    }
    let panics = log.matches("panicked").count();
    if panics > 0 {
        failures.push(format!("the server's log tells of {panics} panics"));
    }
    if let Some(floor) = rate_floor {
        match report.ratio {
            Some(ratio) if ratio < floor => failures.push(format!(
                "the valid load kept {ratio:.3} of its rate, {floor} are required"
            )),
            Some(_) => {}
            None => failures.push(
                "the rate cannot be judged: the load's core had no time left; lower --rate or --intensity"
                    .to_owned(),
            ),
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::report::{Memory, NewcomerRow, Part};
    use crate::hostile::tally::AttackRow;

    fn part() -> Part {
        Part {
            answers: 100,
            answers_per_s: 100.0,
            ..Part::default()
        }
    }

    fn good() -> HostileReport {
        let round = |ratio, disturbed| Round {
            calm: part(),
            attacked: part(),
            ratio,
            disturbed,
            ..Round::default()
        };
        let rounds = vec![round(0.5, true), round(1.0, false), round(0.96, false)];
        HostileReport {
            ratio: median_ratio(&rounds),
            rounds,
            memory: Memory {
                limit_bytes: 1000,
                peak_bytes: Some(1000),
                ..Memory::default()
            },
            attacks: vec![AttackRow::default()],
            ..HostileReport::default()
        }
    }

    /// Makes a good report a bad one.
    type Change<'c> = &'c dyn Fn(&mut HostileReport);

    /// The failures of a good report after a change.
    fn after(change: impl Fn(&mut HostileReport)) -> Vec<String> {
        let mut report = good();
        change(&mut report);
        failures(&report, Some(0.9), "all is well", false)
    }

    #[test]
    fn each_criterion_fails_by_itself() {
        assert!(after(|_| {}).is_empty());
        let changes: [(&str, Change); 8] = [
            ("wrong verdicts", &|report| {
                report.rounds[0].calm.wrong = 1;
            }),
            ("wrong verdicts", &|report| {
                report.rounds[1].attacked.wrong = 1;
            }),
            ("without any answer", &|report| {
                report.rounds[1].attacked.answers = 0;
            }),
            ("breaches", &|report| {
                report.attacks[0].breaches = 1;
            }),
            ("new connections", &|report| {
                report.newcomers = NewcomerRow {
                    failed: 1,
                    ..NewcomerRow::default()
                };
            }),
            ("resident memory", &|report| {
                report.memory.peak_bytes = Some(1001);
            }),
            ("could not be read", &|report| {
                report.memory.peak_bytes = None;
            }),
            ("kept 0.890", &|report| {
                report.ratio = Some(0.89);
            }),
        ];
        for (words, change) in changes {
            let failures = after(change);
            assert!(
                failures.len() == 1 && failures[0].contains(words),
                "{failures:?}"
            );
        }
        assert!(
            after(|report| {
                report.ratio = None;
            })[0]
                .contains("cannot be judged")
        );
        assert!(failures(&good(), None, "thread panicked", false)[0].contains("panics"));
        assert!(failures(&good(), None, "", true)[0].contains("has ended"));
    }

    #[test]
    fn the_median_leaves_disturbed_rounds_out() {
        assert_eq!(good().ratio, Some(0.98));
        assert_eq!(median_ratio(&[]), None);
        let mut round = Round::default();
        assert!(!is_disturbed(&round));
        round.attacked.load_cpu_share = 0.6;
        round.attackers_cpu_share = 0.4;
        assert!(is_disturbed(&round));
    }
}
