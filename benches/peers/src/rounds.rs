//! The counts of rounds, and their medians and ranges.

use std::str::FromStr;

use thiserror::Error;

/// A server that uses this share of its core is limited by its CPU, not by the generator.
const SATURATED_SHARE: f64 = 0.95;

/// A line that `scripts/peers` has not written.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a line of counts: {0:?}")]
pub struct LineError(String);

/// One round of one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Complete answers.
    pub answers: f64,
    /// How long answers were counted.
    pub seconds: f64,
    /// Seconds of CPU that all processes of the server took.
    pub server_cpu: f64,
    /// Seconds of CPU that the generator took.
    pub generator_cpu: f64,
}

impl Round {
    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answers / self.seconds
    }

    /// Microseconds of server CPU per answer.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.server_cpu * 1e6 / self.answers
    }

    /// The share of one core that the server took.
    #[must_use]
    pub fn server_share(&self) -> f64 {
        self.server_cpu / self.seconds
    }

    /// The share of one core that the generator took.
    #[must_use]
    pub fn generator_share(&self) -> f64 {
        self.generator_cpu / self.seconds
    }
}

/// A round of a named server.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRound {
    /// The short name of the server.
    pub peer: String,
    /// Its counts.
    pub round: Round,
}

/// Reads a line of `scripts/peers`: the server's name and four counts, separated by tabs.
impl FromStr for NamedRound {
    type Err = LineError;

    fn from_str(line: &str) -> Result<Self, LineError> {
        let wrong = || LineError(line.to_owned());
        let (peer, counts) = line.split_once('\t').ok_or_else(wrong)?;
        let counts: Result<Vec<f64>, _> = counts.split('\t').map(str::parse).collect();
        let counts = counts.map_err(|_| wrong())?;
        let &[answers, seconds, server_cpu, generator_cpu] = &*counts else {
            return Err(wrong());
        };
        // Later code divides by these.
        if ![answers, seconds, server_cpu]
            .iter()
            .all(|count| count.is_finite() && *count > 0.0)
        {
            return Err(wrong());
        }
        Ok(Self {
            peer: peer.to_owned(),
            round: Round {
                answers,
                seconds,
                server_cpu,
                generator_cpu,
            },
        })
    }
}

/// The median and the range of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The median. For an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`. `None` if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            min: *sorted.first()?,
            median: f64::midpoint(lower, upper),
            max: *sorted.last()?,
        })
    }
}

/// All rounds of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    rounds: Vec<Round>,
    /// Answers per second.
    pub rate: Spread,
    /// Microseconds of server CPU per answer.
    pub cpu_us: Spread,
    /// The server's share of its core.
    pub server_share: Spread,
    /// The generator's share of its core.
    pub generator_share: Spread,
}

impl Summary {
    /// Summarises the rounds of `peer`. `None` if there are none.
    #[must_use]
    pub fn of(peer: &str, all: &[NamedRound]) -> Option<Self> {
        let own = all.iter().filter(|named| named.peer == peer);
        let rounds: Vec<Round> = own.map(|named| named.round).collect();
        let spread = |value: fn(&Round) -> f64| Spread::of(rounds.iter().map(value));
        Some(Self {
            rate: spread(Round::rate)?,
            cpu_us: spread(Round::cpu_us)?,
            server_share: spread(Round::server_share)?,
            generator_share: spread(Round::generator_share)?,
            rounds,
        })
    }

    /// Whether the server used its core fully. Only then its rate is its own limit, not the
    /// generator's.
    #[must_use]
    pub fn saturated(&self) -> bool {
        self.server_share.median >= SATURATED_SHARE
    }

    /// This server's rate as a multiple of the rate of `other`, round by round.
    #[must_use]
    pub fn times_rate_of(&self, other: &Self) -> Option<Spread> {
        self.paired(other, |own, other| own.rate() / other.rate())
    }

    /// The CPU per answer of `other` as a multiple of this server's, round by round.
    #[must_use]
    pub fn times_cheaper_than(&self, other: &Self) -> Option<Spread> {
        self.paired(other, |own, other| other.cpu_us() / own.cpu_us())
    }

    /// The ratios of two servers' rounds. If the machine is slow for a while, it is slow for both
    /// servers of a round.
    fn paired(&self, other: &Self, ratio: fn(&Round, &Round) -> f64) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(own, other)| ratio(own, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(lines: &[&str]) -> Vec<NamedRound> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_round_is_read_as_it_was_counted() {
        let NamedRound { peer, round } = "redis\t300000\t2.0\t1.92\t1.5".parse().unwrap();
        assert_eq!(
            (&*peer, round.rate(), round.server_share()),
            ("redis", 150_000.0, 0.96)
        );
        assert!((round.cpu_us() - 6.4).abs() < 1e-9);
        assert!((round.generator_share() - 0.75).abs() < 1e-9);
        for line in [
            "",
            "redis",
            "redis\t1\t2\t3",
            "redis\t1\t2\t3\t4\t5",
            "redis\t0\t2\t3\t4",
            "redis\t1\tNaN\t3\t4",
        ] {
            assert!(line.parse::<NamedRound>().is_err(), "{line}");
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        let three = of(&[3.0, 10.0, 1.0]).unwrap();
        assert_eq!((three.min, three.median, three.max), (1.0, 3.0, 10.0));
        let four = of(&[1.0, 2.0, 4.0, 9.0]).unwrap();
        assert_eq!((four.min, four.median, four.max), (1.0, 3.0, 9.0));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let all = rounds(&[
            "a\t200\t1\t1\t1",
            "b\t100\t1\t1\t1",
            "a\t20\t1\t1\t1",
            "b\t10\t1\t0.9\t1",
        ]);
        let (a, b) = (
            Summary::of("a", &all).unwrap(),
            Summary::of("b", &all).unwrap(),
        );
        let rate = a.times_rate_of(&b).unwrap();
        assert_eq!(
            (rate.min, rate.max),
            (2.0, 2.0),
            "although the rates lie tenfold apart"
        );
        let cpu = a.times_cheaper_than(&b).unwrap();
        assert!(
            (cpu.min - 1.8).abs() < 1e-9 && (cpu.max - 2.0).abs() < 1e-9,
            "{cpu:?}"
        );
        assert_eq!(Summary::of("c", &all), None);
    }

    #[test]
    fn a_server_that_waits_is_not_saturated() {
        let all = rounds(&["a\t1\t1\t0.96\t0.5", "b\t1\t1\t0.94\t1"]);
        assert!(Summary::of("a", &all).unwrap().saturated());
        assert!(!Summary::of("b", &all).unwrap().saturated());
    }
}
