//! `talos jwk generate eddsa|ecdsa|rsa|hmac`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::curve::Curve;
use super::key::Jwk;
use super::new_file::{self, Existing};
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

    /// Write to this new file, which only its owner can read; `-` is standard output
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file of --output if it exists; the key in it is lost
    #[arg(short, long, global = true)]
    force: bool,
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
        /// Bits of the modulus: 2048 to 8192, a multiple of 128. The server signs with at most
        /// 4096. A key of 8192 bits takes minutes
        #[arg(long, default_value_t = 2048, value_parser = parse_modulus_bits)]
        bits: u32,

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

impl GenerateArguments {
    /// Generates the key and writes it.
    pub(crate) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let jwk = match &self.algorithm {
            Algorithm::Hmac { .. } if self.public_only => {
                let message = "an HMAC key has no public part; remove --public-only";
                return Err(CliError::Usage(message.to_owned()));
            }
            Algorithm::Eddsa => Jwk::ed25519(),
            Algorithm::Ecdsa { curve } => Jwk::elliptic(*curve),
            Algorithm::Rsa { bits, alg } => Jwk::rsa(*bits, alg),
            Algorithm::Hmac { bits } => Jwk::hmac(*bits),
        };
        let jwk = jwk.map_err(|error| CliError::Terminal(io::Error::other(error)))?;
        let jwk = if self.public_only { jwk.public() } else { jwk };
        let mut json = jwk.named(self.kid.as_deref(), &self.usage);
        if self.jwks {
            json = json!({ "keys": [json] });
        }
        let text = format!("{json:#}\n");
        let Some(path) = self
            .output
            .as_deref()
            .filter(|path| *path != Path::new("-"))
        else {
            return out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map_err(CliError::Terminal);
        };
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Keep
        };
        new_file::write(path, &text, existing).map_err(|source| CliError::File {
            path: path.display().to_string(),
            source,
        })
    }
}

/// Parses the length of an RSA modulus. FIPS 186-5 §5.1 demands at least 2048 bits.
fn parse_modulus_bits(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|bits| (2048..=8192).contains(bits) && bits % 128 == 0)
        .ok_or_else(|| "allowed: multiples of 128 from 2048 to 8192".to_owned())
}

/// Parses whole bytes, at least as many as the shortest digest has (RFC 7518 §3.2).
fn parse_bits(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|bits| (256..=8192).contains(bits) && bits % 8 == 0)
        .ok_or_else(|| "allowed: multiples of 8 from 256 to 8192".to_owned())
}
