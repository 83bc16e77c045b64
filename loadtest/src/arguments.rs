//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Parser, Subcommand, ValueEnum};

use crate::class::Shares;
use crate::duration::{at_least_a_second, seconds_or_unit, with_unit};
use crate::error::LoadError;
use crate::hostile::arguments::HostileArguments;
use crate::popularity::Popularity;
use crate::tenants::Hosts;
use crate::tls::TlsFiles;

/// Measures how fast, and how evenly, a Talos server verifies API keys.
///
/// Without a flag it starts a server of its own in a temporary directory, makes keys, finds the
/// highest rate by a closed loop (each connection sends its next request when it has its answer),
/// and then sends at 70 % of it on a fixed schedule (an open loop). In an open loop, latency counts
/// from the moment a request was due, queueing included.
///
/// Every verdict is compared with what is known of the key; a wrong or missing answer fails the run
/// with exit code 1.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "talos-loadtest",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// Another measurement than that of the flags below.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Use the server that runs at this address (http://host:port or https://host:port) instead of
    /// starting one. Keys are made there and stay there.
    #[arg(long, help_heading = "Server")]
    pub url: Option<String>,
    /// The authorities (PEM) of the server's certificate; by default, those that browsers trust.
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Server")]
    pub ca: Option<PathBuf>,
    /// A certificate (PEM) of this client, for a server that demands one.
    #[arg(long, value_name = "FILE", requires_all = ["url", "key"], help_heading = "Server")]
    pub cert: Option<PathBuf>,
    /// The private key (PEM) of --cert.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Server")]
    pub key: Option<PathBuf>,
    /// Use the server that listens at this Unix socket. Without a path: start a server, and reach
    /// it over a Unix socket.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "", conflicts_with = "url", help_heading = "Server")]
    pub unix: Option<String>,
    /// The program to start; by default, `talos` beside this program.
    #[arg(
        long,
        value_name = "PROGRAM",
        conflicts_with = "url",
        help_heading = "Server"
    )]
    pub server: Option<PathBuf>,
    /// Process id of the server, if it runs on this machine: the report then shows its CPU time,
    /// memory and descriptors.
    #[arg(long, help_heading = "Server")]
    pub pid: Option<u32>,

    /// Keys to make before the load, up to 10 million. Imported keys take no memory in this
    /// program, issued keys 100 bytes each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000), help_heading = "Requests")]
    pub keys: u32,
    /// Shares of the classes among the requests: valid (issued keys), imported, revoked, unknown,
    /// jwt, macaroon, batch (batchVerify), changing (keys that --writes-per-second makes and
    /// revokes; 5 % if not named).
    #[arg(
        long,
        default_value = "valid=80,revoked=10,unknown=10",
        help_heading = "Requests"
    )]
    pub mix: Shares,
    /// Which keys are requested: uniform, zipf, or zipf=EXPONENT.
    #[arg(long, default_value = "uniform", help_heading = "Requests")]
    pub popularity: Popularity,
    /// Spread the keys over this many tenants; each request goes to the host of its key's tenant.
    /// A server that runs already needs tenants with these hosts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Requests")]
    pub tenants: Option<u32>,
    /// The hosts of the tenants; {} stands for 1, 2 and so on.
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "t{}.example",
        requires = "tenants",
        help_heading = "Requests"
    )]
    pub tenant_host: String,
    /// Credentials in each batch.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Requests")]
    pub batch: u8,
    /// Tokens of each kind to derive, if the mix has any.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Requests")]
    pub tokens: u32,
    /// Seed of all random choices: the same seed chooses the same keys and send times. Imported
    /// credentials are computed from it.
    #[arg(long, default_value_t = 1, help_heading = "Requests")]
    pub seed: u64,
    /// Make no keys; use those of an earlier run with the same --seed, --keys and --mix. Possible
    /// with all classes but valid.
    #[arg(long, help_heading = "Requests")]
    pub reuse: bool,

    /// Only the closed loop: the highest rate with this many connections.
    #[arg(long, conflicts_with_all = ["rate", "ramp"], help_heading = "Load")]
    pub closed: bool,
    /// Only the open loop, at this many requests per second. With --ramp: the highest rate to try,
    /// instead of the one that a closed loop finds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000), help_heading = "Load")]
    pub rate: Option<u32>,
    /// Find the highest rate that keeps the 99th percentile under --p99, by open loops of --step
    /// each.
    #[arg(long, help_heading = "Load")]
    pub ramp: bool,
    /// The limit for --ramp, for example 500us, 1ms or 1s.
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = with_unit, requires = "ramp", help_heading = "Load")]
    pub p99: Duration,
    /// How long each step of --ramp lasts.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = seconds_or_unit.try_map(at_least_a_second), requires = "ramp", help_heading = "Load")]
    pub step: Duration,
    /// How long the measured loop lasts: seconds, or a time such as 30s, 30m, 8h.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds_or_unit.try_map(at_least_a_second), help_heading = "Load")]
    pub duration: Duration,
    /// How long the closed loop before the first measurement lasts; 0s = none.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = seconds_or_unit, help_heading = "Load")]
    pub warm_up: Duration,
    /// Connections, over all load threads.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    pub connections: u32,
    /// Requests on a connection at a time (HTTP/1.1 pipelining).
    #[arg(long, value_name = "DEPTH", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=128), help_heading = "Load")]
    pub pipeline: u32,
    /// Connections that are closed and made again per second.
    #[arg(long, value_name = "PER-SECOND", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000), help_heading = "Load")]
    pub churn: u32,
    /// Keys issued, imported and revoked per second during the load.
    #[arg(long, value_name = "PER-SECOND", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000), help_heading = "Load")]
    pub writes_per_second: u32,
    /// Load threads; by default one for each core that the server does not need.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Load")]
    pub threads: Option<u32>,
    /// Cores for the load threads, for example 2,3.
    #[arg(
        long,
        value_name = "CORES",
        value_delimiter = ',',
        help_heading = "Load"
    )]
    pub cores: Vec<usize>,
    /// How load threads wait. Spinning is exact, but each thread needs a core of its own. By
    /// default they spin if they have one.
    #[arg(long, help_heading = "Load")]
    pub wait: Option<Wait>,

    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Also write the report to this file, as one HTML page with plots.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Do not measure; show two reports written by --json side by side.
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with_all = ["url", "unix", "server", "json"], help_heading = "Output")]
    pub compare: Vec<PathBuf>,
}

/// Another measurement.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Attack a server while valid clients use it.
    Hostile(HostileArguments),
}

/// How load threads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Without sleeping.
    Spin,
    /// Sleeping until something is due.
    Sleep,
}

impl Arguments {
    /// The shares of the classes. If keys are written and the mix names no changing keys, these get
    /// 5 %.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let mut shares = self.mix.clone();
        if self.writes_per_second > 0 && shares.changing == 0 {
            shares.changing = (shares.total() / 19).max(1);
        }
        shares
    }

    /// The hosts of the tenants, if there are any.
    ///
    /// # Errors
    /// When their pattern is wrong.
    pub fn tenant_hosts(&self) -> Result<Option<Hosts>, LoadError> {
        let hosts = |tenants| {
            Hosts::of_tenants(tenants, &self.tenant_host).ok_or_else(|| {
                LoadError::Flags(
                    "--tenant-host: expected a host name with {} in it, such as t{}.example"
                        .to_owned(),
                )
            })
        };
        self.tenants.map(hosts).transpose()
    }

    /// The files of TLS.
    #[must_use]
    pub fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            ca: self.ca.clone(),
            own: self.cert.clone().zip(self.key.clone()),
        }
    }

    /// Checks flags against each other.
    ///
    /// # Errors
    /// A message that says what to do instead.
    pub fn check(&self) -> Result<(), LoadError> {
        let wrong = |what: &str| Err(LoadError::Flags(what.to_owned()));
        let running = self.url.is_some() || self.unix.as_ref().is_some_and(|path| !path.is_empty());
        if self.reuse && !running {
            return wrong(
                "--reuse needs the server that has the keys: name it with --url or --unix",
            );
        }
        if self.reuse && self.mix.valid > 0 {
            return wrong(
                "--reuse: issued keys of an earlier run cannot be reused, because only their server knew their secrets; \
                 use imported keys, for example --mix imported=80,revoked=10,unknown=10",
            );
        }
        if self.pid.is_some() && !running {
            return wrong("--pid belongs to a server named with --url or --unix");
        }
        if self.server.is_some() && running {
            return wrong("--server names a program to start; leave it out with --unix PATH");
        }
        if self.mix.changing > 0 && self.writes_per_second == 0 {
            return wrong(
                "changing keys come from --writes-per-second: give it, or leave changing out of --mix",
            );
        }
        self.tenant_hosts()?;
        let (mix, written) = (&self.mix, self.writes_per_second > 0);
        if self.tenants.is_some() && (written || mix.jwt + mix.macaroon + mix.batch > 0) {
            return wrong(
                "--tenants: possible with the classes valid, imported, revoked and unknown, and without --writes-per-second",
            );
        }
        if self.rate.is_none() && !self.closed && !self.ramp && self.duration.is_zero() {
            return wrong("--duration must be at least 1s");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &str) -> Result<Arguments, String> {
        let all = std::iter::once("talos-loadtest").chain(flags.split_ascii_whitespace());
        let arguments = Arguments::try_parse_from(all).map_err(|error| error.to_string())?;
        arguments.check().map_err(|error| error.to_string())?;
        Ok(arguments)
    }

    #[test]
    fn every_flag_has_a_default() {
        let arguments = parse("").unwrap();
        assert_eq!(
            (arguments.connections, arguments.keys, arguments.rate),
            (64, 10_000, None)
        );
        assert_eq!(arguments.duration, Duration::from_secs(10));
        assert_eq!(arguments.shares(), arguments.mix);
    }

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(
            parse("--duration 30m").unwrap().duration,
            Duration::from_secs(1800)
        );
        assert_eq!(
            parse("--duration 7").unwrap().duration,
            Duration::from_secs(7)
        );
        let ramp = parse("--ramp --p99 500us --step 2").unwrap();
        assert_eq!(ramp.p99, Duration::from_micros(500));
        assert_eq!(ramp.step, Duration::from_secs(2));
        for bad in [
            "--duration 0",
            "--duration 1d",
            "--duration x",
            "--ramp --p99 1",
            "--duration 9999h",
        ] {
            assert!(parse(bad).unwrap_err().contains("expected"), "{bad}");
        }
    }

    #[test]
    fn writes_bring_changing_keys() {
        let arguments = parse("--writes-per-second 10 --mix valid=95").unwrap();
        assert_eq!(arguments.shares().changing, 5);
        let named = parse("--writes-per-second 10 --mix valid=1,changing=1").unwrap();
        assert_eq!(named.shares().changing, 1);
    }

    #[test]
    fn flags_that_make_no_sense_together_say_what_to_do() {
        for (flags, advice) in [
            ("--closed --rate 10", "cannot be used with"),
            ("--closed --ramp", "cannot be used with"),
            ("--p99 1ms", "--ramp"),
            ("--connections 0", "1..=10000"),
            ("--mix valid=1,other=2", "classes: valid"),
            ("--popularity pareto", "zipf=1.1"),
            ("--reuse", "--url"),
            ("--reuse --url http://h", "imported"),
            ("--pid 1", "--url"),
            ("--mix changing=1", "--writes-per-second"),
            ("--tenant-host t{}.a", "--tenants"),
            ("--tenants 0", "1..=100000"),
            ("--tenants 2 --tenant-host t.a", "with {} in it"),
            ("--tenants 2 --mix batch=1", "classes valid"),
            ("--tenants 2 --writes-per-second 1", "--writes-per-second"),
            ("--ca f", "--url"),
            ("--url https://h --cert f", "--key"),
            ("--unix /a --server /b", "--server"),
            ("--unix /a --url http://h", "cannot be used with"),
            ("--compare a", "2 values"),
        ] {
            let said = parse(flags).unwrap_err();
            assert!(said.contains(advice), "{flags}: {said}");
        }
        assert_eq!(parse("--unix").unwrap().unix.as_deref(), Some(""));
        assert!(parse("--unix /run/t.sock --reuse --mix imported=1").is_ok());
    }
}
