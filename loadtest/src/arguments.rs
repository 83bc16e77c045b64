//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::mix::Shares;

/// Measures how fast, and how evenly, a Talos server verifies API keys.
///
/// Without a flag it starts a server of its own in a temporary directory, makes keys, finds the highest rate by a
/// closed loop, and then sends at 70 % of it on a fixed schedule (an open loop). Latency counts from the moment a
/// request was due, queueing included. Every verdict is compared with what is known of the key; a wrong one fails the
/// run with exit code 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "talos-loadtest", version)]
pub struct Arguments {
    /// Use this running server (`http://host:port`) instead of starting one. Keys are made there and stay there.
    #[arg(long)]
    pub url: Option<String>,
    /// Connections, over all load threads.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Requests per second of the open loop; without it, 70 % of what the closed loop reached.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// Seconds of the open loop, or of the closed loop with --closed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub duration: u32,
    /// Keys to make before the load.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub keys: u32,
    /// Shares of valid, revoked and unknown credentials among the requests.
    #[arg(long, default_value = "valid=80,revoked=10,unknown=10")]
    pub mix: Shares,
    /// Repeats the same choice of keys and send times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Writes the report here too, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only the closed loop.
    #[arg(long, conflicts_with = "rate")]
    pub closed: bool,
}

impl Arguments {
    /// How long the measured loop runs.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_default() {
        let arguments = Arguments::try_parse_from(["talos-loadtest"]).unwrap();
        assert_eq!(
            (arguments.connections, arguments.keys, arguments.rate),
            (64, 10_000, None)
        );
        assert_eq!(arguments.duration(), Duration::from_secs(10));
    }

    #[test]
    fn a_rate_makes_no_sense_in_a_closed_loop() {
        assert!(Arguments::try_parse_from(["talos-loadtest", "--closed", "--rate", "10"]).is_err());
        assert!(Arguments::try_parse_from(["talos-loadtest", "--connections", "0"]).is_err());
        assert!(Arguments::try_parse_from(["talos-loadtest", "--mix", "valid=1,other=2"]).is_err());
    }
}
