//! `talos macaroon attenuate TOKEN`: makes a macaroon that allows less, offline and without a
//! secret.

use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand};
use talos_credentials::token::macaroon::attenuate;
use talos_credentials::token::{Claims, Macaroon, MintError, Narrowing};
use talos_model::cidr::Cidr;
use talos_model::clock::UnixMillis;
use talos_model::duration;

use crate::console::{Console, secret_argument};
use crate::error::CliError;
use crate::token::instant;

/// `talos macaroon`.
#[derive(Debug, Args)]
pub(crate) struct MacaroonCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a macaroon that allows less than this one, offline. Does not check the signature: only
    /// the server can
    Attenuate(AttenuateArguments),
}

/// Which macaroon to narrow, and to what.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("narrowing").required(true).multiple(true))]
struct AttenuateArguments {
    /// The macaroon; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    token: String,

    /// Allow only these scopes
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…", group = "narrowing", value_parser = NonEmptyStringValueParser::new())]
    scopes: Option<Vec<String>>,

    /// Expire this long after now, in whole seconds: 90s, 10m, 1h
    #[arg(long, value_name = "DURATION", group = "narrowing", value_parser = parse_ttl)]
    ttl: Option<Duration>,

    /// Allow only these addresses
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "CIDR,…",
        group = "narrowing"
    )]
    cidrs: Option<Vec<Cidr>>,
}

impl MacaroonCommand {
    /// Runs the command; times are counted from `now`.
    pub(crate) fn run(
        &self,
        console: &mut Console<'_>,
        now: UnixMillis,
    ) -> Result<ExitCode, CliError> {
        let Action::Attenuate(arguments) = &self.action;
        let token = secret_argument(&arguments.token, "macaroon", console.input)?;
        let claims = Macaroon::parse(&token)
            .and_then(|macaroon| macaroon.unverified_claims())
            .map_err(|_| MintError::NotAMacaroon)?;
        let caveat = arguments.caveat(&claims, now)?;
        let narrowed = attenuate(&token, &caveat)?;
        if caveat.expires_at_s.is_some_and(|s| s > claims.expires_at_s) {
            let _ = writeln!(
                console.remarks,
                "--ttl changes nothing: the macaroon expires at {} already",
                instant(claims.expires_at_s)
            );
        }
        writeln!(console.out, "{narrowed}")
            .and_then(|()| console.out.flush())
            .map_err(CliError::Terminal)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl AttenuateArguments {
    /// The caveat for a macaroon with `claims`.
    fn caveat(&self, claims: &Claims, now: UnixMillis) -> Result<Narrowing, CliError> {
        let scopes = Narrowing {
            scopes: self.scopes.clone(),
            ..Narrowing::default()
        };
        let addresses = Narrowing {
            allowed_cidrs: self.cidrs.clone(),
            ..Narrowing::default()
        };
        refuse_widening(claims, &scopes, "--scopes", || allowed(&claims.scopes))?;
        refuse_widening(claims, &addresses, "--cidrs", || {
            allowed(&claims.allowed_cidrs)
        })?;
        // A time that is later than the expiry of the macaroon changes nothing.
        let expires_at_s = self
            .ttl
            .map(|ttl| now.plus_seconds(ttl.as_secs()).seconds());
        Ok(Narrowing {
            expires_at_s,
            allowed_cidrs: addresses.allowed_cidrs,
            ..scopes
        })
    }
}

/// Returns an error that names the flag if it asks for more than the macaroon allows. The engine
/// decides what is more.
fn refuse_widening(
    claims: &Claims,
    narrowing: &Narrowing,
    flag: &'static str,
    macaroon: impl FnOnce() -> String,
) -> Result<(), CliError> {
    narrowing
        .apply(&mut claims.clone())
        .map_err(|_| CliError::Widening {
            flag,
            macaroon: macaroon(),
        })
}

fn allowed(items: &[impl ToString]) -> String {
    if items.is_empty() {
        return "allows none".to_owned();
    }
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!("allows {} only", items.join(", "))
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration::parse(text).map_err(|error| error.to_string())?;
    if ttl < Duration::from_secs(1) || ttl.subsec_nanos() != 0 {
        return Err("not a whole number of seconds, or less than one".to_owned());
    }
    Ok(ttl)
}
