//! `talos jwk …`: signing keys as JSON Web Keys (RFC 7517).

mod curve;
mod generate;
mod key;
mod new_file;
mod rsa;

use std::io::Write;

use clap::Subcommand;

use self::generate::GenerateArguments;
pub(crate) use self::key::Jwk;
use crate::error::CliError;
use crate::printable::printable_json;
use crate::server_arguments::ServerArguments;

/// `talos jwk`.
#[derive(Debug, Subcommand)]
pub(crate) enum JwkCommand {
    /// Generate a key
    Generate(GenerateArguments),
    /// Show the public keys of a server
    Get,
}

impl JwkCommand {
    /// Runs the command. Writes the key to `out`, unless a file is given.
    pub(crate) fn run(
        &self,
        server: &ServerArguments,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        match self {
            Self::Generate(generate) => generate.run(out),
            Self::Get => {
                let answer = server.client()?.get("/v2alpha1/derivedKeys/jwks.json")?;
                let text = format!("{:#}", answer.json);
                writeln!(out, "{}", printable_json(&text)).map_err(CliError::Terminal)
            }
        }
    }
}
