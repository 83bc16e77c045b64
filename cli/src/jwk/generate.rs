//! `talos jwk generate eddsa|ecdsa|rsa|hmac`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::key::Jwk;
use crate::error::CliError;

/// Which key to generate, and where to write it.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct GenerateArguments {
    #[command(subcommand)]
    algorithm: Algorithm,

    /// Key id [default: its thumbprint (RFC 7638)]
    #[arg(long, global = true)]
    kid: Option<String>,

    /// Use of the key
    #[arg(long = "use", global = true, value_name = "USE", default_value = "sig")]
    usage: String,

    /// Write a JWK set with the key, as the configuration needs it
    #[arg(long, global = true)]
    jwks: bool,

    /// Write only the public part; the private part is lost
    #[arg(long, global = true)]
    public_only: bool,

    /// Write to this new file, which only its owner can read
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Algorithm {
    /// Ed25519 (RFC 8037); the server signs with it
    Eddsa,
    /// ECDSA (RFC 7518 §3.4); not for the server
    Ecdsa {
        /// Curve
        #[arg(long, value_enum, default_value = "P-256")]
        curve: Curve,
    },
    /// RSA (RFC 7518 §3.3); the server also signs with it, as RS256
    Rsa {
        /// Bits of the modulus
        #[arg(long, default_value = "2048", value_parser = ["2048", "3072", "4096"])]
        bits: String,

        /// Algorithm that the key names
        #[arg(long, default_value = "RS256", value_parser = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])]
        alg: String,
    },
    /// HMAC with SHA-2 (RFC 7518 §3.2); not for the server
    Hmac {
        /// Bits of the secret
        #[arg(long, default_value_t = 512, value_parser = parse_bits)]
        bits: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Curve {
    /// NIST P-256
    #[value(name = "P-256")]
    P256,
}

impl GenerateArguments {
    /// Generates the key and writes it.
    pub(crate) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let jwk = match &self.algorithm {
            Algorithm::Hmac { .. } if self.public_only => {
                let message = "an HMAC key has no public part; remove --public-only";
                return Err(CliError::Usage(message.to_owned()));
            }
            Algorithm::Eddsa => Jwk::ed25519(),
            Algorithm::Ecdsa { curve: Curve::P256 } => Jwk::p256(),
            // The parser of the command line allows only numbers.
            Algorithm::Rsa { bits, alg } => Jwk::rsa(bits.parse().unwrap_or(2048), alg),
            Algorithm::Hmac { bits } => Jwk::hmac(*bits),
        };
        let jwk = jwk.map_err(|error| CliError::Terminal(io::Error::other(error)))?;
        let jwk = if self.public_only { jwk.public() } else { jwk };
        let mut json = jwk.named(self.kid.as_deref(), &self.usage);
        if self.jwks {
            json = json!({ "keys": [json] });
        }
        let text = format!("{json:#}\n");
        let Some(path) = &self.output else {
            return out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map_err(CliError::Terminal);
        };
        let mut options = OpenOptions::new();
        // `create_new` never overwrites a key that may be in use.
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| CliError::File {
            path: path.display().to_string(),
            source,
        })
    }
}

/// Parses whole bytes, at least as many as the shortest digest has (RFC 7518 §3.2).
fn parse_bits(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|bits| (256..=8192).contains(bits) && bits % 8 == 0)
        .ok_or_else(|| "allowed: multiples of 8 from 256 to 8192".to_owned())
}
