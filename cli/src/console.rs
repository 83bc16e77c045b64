//! What a command reads and writes.

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use crate::error::CliError;

/// The three standard streams.
pub(crate) struct Console<'a> {
    /// Standard input: for credentials and files that are given as `-`.
    pub(crate) input: &'a mut dyn BufRead,
    /// Standard output: for results.
    pub(crate) out: &'a mut dyn Write,
    /// Standard error: for everything else.
    pub(crate) remarks: &'a mut dyn Write,
    /// Whether to draw progress on standard error, which is then a terminal.
    pub(crate) draws_progress: bool,
    /// Whether a person can answer a question: standard input and standard error are terminals.
    pub(crate) can_ask: bool,
}

/// Returns `argument`, or the first line of `input` if `argument` is `-`. A secret from standard
/// input does not appear in the process list. The error for an empty line calls the secret `what`.
pub(crate) fn secret_argument(
    argument: &str,
    what: &str,
    input: &mut dyn BufRead,
) -> Result<Zeroizing<String>, CliError> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.to_owned()));
    }
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).map_err(CliError::Terminal)?;
    let secret = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if secret.is_empty() {
        let message = format!("standard input holds no {what}");
        return Err(CliError::Terminal(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            message,
        )));
    }
    Ok(secret)
}
