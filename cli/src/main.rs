//! The program `talos`: a server for API keys, and the commands that talk to it.

#![forbid(unsafe_code)]

mod admin;
mod arguments;
mod audit;
mod backup;
mod changes;
mod client;
mod client_tls;
mod completions;
mod config;
mod console;
mod environment;
mod error;
mod fleet;
mod jwk;
mod keys;
mod macaroon;
mod man;
mod migrate;
mod output;
mod patience;
mod printable;
mod progress;
mod proxy;
mod quiet_pipe;
mod secrets;
mod serve;
mod server_arguments;
mod service_manager;
mod token;
mod unix_socket;
mod whoami;

use std::io::{self, IsTerminal as _, StdoutLock, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use talos_model::clock;

use crate::arguments::{Arguments, Command};
use crate::console::Console;
use crate::error::CliError;
use crate::quiet_pipe::QuietPipe;

/// The system's allocator is slow when one thread frees what another has allocated. The data plane
/// does that: a core frees what the committing thread has allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    serve::process::make_files_private();
    // On bad usage clap prints to standard error and exits with 2; for help and version it exits
    // with 0.
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        // Its message would go to those who have stopped reading.
        Err(error @ CliError::ReaderGone) => error.exit_code(),
        Err(error) => {
            // If standard error is closed, the message is lost.
            let _ = writeln!(io::stderr(), "{}", error.report());
            error.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    let server = &arguments.server;
    match arguments.command {
        Command::Serve(serve) => serve::run(&serve, arguments.config.as_deref()),
        Command::Proxy(proxy) => proxy.run(),
        Command::Keys(keys) => {
            let client = server.client()?;
            on_console(|console| keys.run(&client, console))
        }
        Command::Fleet(fleet) => {
            let client = server.client()?;
            on_console(|console| fleet.run(&client, console))
        }
        Command::Backup(backup) => on_console(|console| backup.run(server, console)),
        Command::Audit(audit) => {
            let config = arguments.config.as_deref();
            on_console(|console| audit.run(config, console))
        }
        Command::Changes(changes) => {
            changes.run(server.client()?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Jwk(jwk) => {
            jwk.run(server, &mut out())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Admin(admin) => {
            let config = arguments.config.as_deref();
            on_console(|console| admin.run(server, config, console))
        }
        Command::WhoAmI(whoami) => {
            let client = server.client()?;
            on_console(|console| whoami.run(&client, console))
        }
        Command::Config(command) => {
            let config = arguments.config.as_deref();
            on_console(|console| command.run(server, config, console))
        }
        Command::Secrets(command) => {
            let config = arguments.config.as_deref();
            on_console(|console| command.run(config, console))
        }
        Command::Migrate(migrate) => {
            let config = arguments.config.as_deref();
            migrate.run(config, &mut out(), &mut io::stderr().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Token(token) => on_console(|console| token.run(console, clock::now())),
        Command::Macaroon(macaroon) => on_console(|console| macaroon.run(console, clock::now())),
        Command::Completions(completions) => {
            completions.run(Arguments::command(), &mut out())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(man) => {
            man.run(Arguments::command())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Standard output.
fn out() -> QuietPipe<StdoutLock<'static>> {
    QuietPipe::new(io::stdout().lock())
}

fn on_console(
    command: impl FnOnce(&mut Console<'_>) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    command(&mut Console {
        input: &mut io::stdin().lock(),
        out: &mut out(),
        remarks: &mut io::stderr(),
        draws_progress: io::stderr().is_terminal(),
        can_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
    })
}
