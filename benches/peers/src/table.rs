//! The comparison as two Markdown tables: one of the servers, one of the budgets.

use crate::rounds::{NamedRound, Spread, Summary};

/// The short name of Talos, which all others are compared with.
const OURS: &str = "talos";

/// A server of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its short name, which its rounds carry.
    pub name: String,
    /// Its name in the table.
    pub title: String,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// Answers per second, if both servers are saturated; CPU per answer otherwise.
    Rate,
    /// CPU per answer.
    Cpu,
}

/// How much better than another server Talos must be.
struct Budget {
    peer: &'static str,
    title: &'static str,
    times: f64,
    measure: Measure,
}

const BUDGETS: [Budget; 4] = [
    Budget {
        peer: "nginx",
        title: "against nginx's static answer",
        times: 1.1,
        measure: Measure::Rate,
    },
    Budget {
        peer: "bare",
        title: "against the bare loop",
        times: 0.88,
        measure: Measure::Rate,
    },
    Budget {
        peer: "redis",
        title: "against Redis GET of the same bytes",
        times: 1.15,
        measure: Measure::Cpu,
    },
    Budget {
        peer: "axum",
        title: "against axum and PostgreSQL",
        times: 8.0,
        measure: Measure::Rate,
    },
];

/// Both tables, with those of `peers` that have rounds, in this order. Without rounds of Talos,
/// ratios are left out.
#[must_use]
pub fn tables(peers: &[Peer], rounds: &[NamedRound]) -> String {
    let ours = Summary::of(OURS, rounds);
    let mut text = String::from(
        "| Server | requests/s (min–max) | server CPU, µs/request (min–max) | server's core | generator's core | saturated | rate, Talos / it | CPU, it / Talos |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for peer in peers {
        if let Some(theirs) = Summary::of(&peer.name, rounds) {
            text += &row(peer, &theirs, ours.as_ref());
        }
    }
    let reached: Vec<String> = BUDGETS
        .iter()
        .filter_map(|budget| {
            let theirs = Summary::of(budget.peer, rounds)?;
            budget.row(ours.as_ref()?, &theirs)
        })
        .collect();
    if !reached.is_empty() {
        text += "\n| Budget | Wanted | Reached (min–max of the rounds) |\n|---|---|---|\n";
        text += &reached.concat();
    }
    text
}

fn row(peer: &Peer, theirs: &Summary, ours: Option<&Summary>) -> String {
    let ratio = |spread: Option<Spread>| {
        spread.map_or("–".to_owned(), |times| format!("{:.2}", times.median))
    };
    let by_rate = ours
        .filter(|ours| ours.saturated() && theirs.saturated())
        .and_then(|ours| ours.times_rate_of(theirs));
    let by_cpu = ours.and_then(|ours| ours.times_cheaper_than(theirs));
    let title = if peer.name == OURS {
        format!("**{}**", peer.title)
    } else {
        peer.title.clone()
    };
    format!(
        "| {title} | {} ({}–{}) | {:.2} ({:.2}–{:.2}) | {} | {} | {} | {} | {} |\n",
        thousands(theirs.rate.median),
        thousands(theirs.rate.min),
        thousands(theirs.rate.max),
        theirs.cpu_us.median,
        theirs.cpu_us.min,
        theirs.cpu_us.max,
        percent(theirs.server_share),
        percent(theirs.generator_share),
        if theirs.saturated() { "yes" } else { "no" },
        ratio(by_rate),
        ratio(by_cpu),
    )
}

impl Budget {
    fn row(&self, ours: &Summary, theirs: &Summary) -> Option<String> {
        let comparable = ours.saturated() && theirs.saturated();
        let (by, times) = match self.measure {
            Measure::Rate if comparable => ("rate", ours.times_rate_of(theirs)?),
            Measure::Rate | Measure::Cpu => ("CPU", ours.times_cheaper_than(theirs)?),
        };
        // The rounded value decides, so that no row contradicts itself.
        let shown = (times.median * 100.0).round() / 100.0;
        let reached = format!("{shown:.2} × by {by} ({:.2}–{:.2})", times.min, times.max);
        let reached = if shown >= self.times {
            reached
        } else {
            format!("**{reached}: missed**")
        };
        Some(format!(
            "| {} | ≥ {} × | {reached} |\n",
            self.title, self.times
        ))
    }
}

fn percent(share: Spread) -> String {
    format!("{:.0} %", share.median * 100.0)
}

/// A whole number with commas between the thousands.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables_of(lines: &[&str]) -> String {
        let peers =
            [("talos", "Talos"), ("nginx", "nginx"), ("redis", "Redis")].map(|(name, title)| {
                Peer {
                    name: name.to_owned(),
                    title: title.to_owned(),
                }
            });
        let rounds: Vec<NamedRound> = lines.iter().map(|line| line.parse().unwrap()).collect();
        tables(&peers, &rounds)
    }

    #[test]
    fn rates_are_compared_only_where_both_are_saturated() {
        let text = tables_of(&[
            "talos\t2000000\t10\t9.9\t9",
            "nginx\t1600000\t10\t9.6\t9",
            "redis\t1200000\t10\t8.0\t10",
        ]);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows[..3],
            [
                "| **Talos** | 200,000 (200,000–200,000) | 4.95 (4.95–4.95) | 99 % | 90 % | yes | 1.00 | 1.00 |",
                "| nginx | 160,000 (160,000–160,000) | 6.00 (6.00–6.00) | 96 % | 90 % | yes | 1.25 | 1.21 |",
                "| Redis | 120,000 (120,000–120,000) | 6.67 (6.67–6.67) | 80 % | 100 % | no | – | 1.35 |",
            ]
        );
        assert_eq!(
            rows[6..],
            [
                "| against nginx's static answer | ≥ 1.1 × | 1.25 × by rate (1.25–1.25) |",
                "| against Redis GET of the same bytes | ≥ 1.15 × | 1.35 × by CPU (1.35–1.35) |",
            ]
        );
    }

    #[test]
    fn a_missed_budget_says_so() {
        let text = tables_of(&["talos\t1000\t1\t0.5\t1", "nginx\t1000\t1\t0.5\t1"]);
        let missed =
            "| against nginx's static answer | ≥ 1.1 × | **1.00 × by CPU (1.00–1.00): missed** |";
        assert!(text.lines().any(|line| line == missed), "{text}");
    }

    #[test]
    fn others_stand_alone_without_this_server() {
        let text = tables_of(&["redis\t1000\t1\t1\t1"]);
        assert!(text.ends_with("| yes | – | – |\n"), "{text}");
        assert!(!text.contains("Budget"));
    }

    #[test]
    fn thousands_are_separated() {
        for (value, text) in [
            (7.0, "7"),
            (999.6, "1,000"),
            (12_345.0, "12,345"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(thousands(value), text);
        }
    }
}
