//! The flags of `talos-loadtest hostile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::TypedValueParser as _;

use super::attack::Attack;
use super::settings::Setting;
use crate::duration::{at_least_a_second, seconds_or_unit};

/// Attacks a server while valid clients use it, and checks that they notice little.
///
/// Starts a server of its own in a temporary directory. Hostile clients never go to a server that
/// somebody uses. In rounds, valid clients verify keys without and with hostile clients. Every
/// verdict is checked; the server's memory must stay within its budgets and 20 %; new connections
/// must get answers.
#[derive(Args, Clone, Debug)]
pub struct HostileArguments {
    /// The program to start; by default, `talos` beside this program.
    #[arg(long, value_name = "PROGRAM")]
    pub server: Option<PathBuf>,
    /// How the server waits for sockets: auto, `io_uring` or epoll.
    #[arg(long, default_value = "auto")]
    pub driver: String,
    /// Administrators need a token (`serve.admin.auth`). Hostile clients then also act as
    /// administrators without one.
    #[arg(long)]
    pub auth: bool,
    /// The server speaks TLS, and so do the valid clients and half of the hostile ones. The others
    /// send without TLS what they send otherwise.
    #[arg(long)]
    pub tls: bool,
    /// How long the server is attacked, over all rounds.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds_or_unit.try_map(at_least_a_second))]
    pub duration: Duration,
    /// How long the attack of one round lasts. A calm part of a quarter of this time precedes it.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = seconds_or_unit.try_map(at_least_a_second))]
    pub round: Duration,
    /// Verifications per second; by default half of what a closed loop finds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// Connections of the valid load.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub connections: u32,
    /// Keys that the valid load uses.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub keys: u32,
    /// A factor for the numbers of hostile clients.
    #[arg(long, default_value_t = 1.0, value_parser = intensity)]
    pub intensity: f64,
    /// A new connection that waits for an answer for longer than this fails the run.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds_or_unit.try_map(at_least_a_second))]
    pub patience: Duration,
    /// Only these kinds of hostile clients.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub only: Vec<Attack>,
    /// Fail if the median of the rounds' rates under attack, divided by the calm rates, is below
    /// this.
    #[arg(long, value_name = "RATIO")]
    pub rate_floor: Option<f64>,
    /// A setting of the server, to see what an attack does without a defence. Memory is compared
    /// with the budgets of the usual settings.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<Setting>,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl HostileArguments {
    /// The kinds of hostile clients.
    #[must_use]
    pub fn attacks(&self) -> Vec<Attack> {
        let wanted = |attack: &Attack| {
            (self.only.is_empty() || self.only.contains(attack))
                && (self.auth || *attack != Attack::Uninvited)
                && (self.tls || !attack.needs_tls())
        };
        Attack::ALL.into_iter().filter(wanted).collect()
    }

    /// The rounds.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        let rounds = self.duration.as_millis().div_ceil(self.round.as_millis());
        u64::try_from(rounds).unwrap_or(u64::MAX)
    }
}

fn intensity(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (0.01..=8.0).contains(number));
    number.ok_or_else(|| "expected a number from 0.01 to 8".to_owned())
}
