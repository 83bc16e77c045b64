//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::admin::AdminCommand;
use crate::audit::AuditCommand;
use crate::backup::BackupCommand;
use crate::changes::ChangesCommand;
use crate::completions::CompletionsCommand;
use crate::config::ConfigCommand;
use crate::fleet::FleetCommand;
use crate::jwk::JwkCommand;
use crate::keys::KeysCommand;
use crate::macaroon::MacaroonCommand;
use crate::man::ManCommand;
use crate::migrate::MigrateCommand;
use crate::proxy::ProxyCommand;
use crate::secrets::SecretsCommand;
use crate::serve::ServeArguments;
use crate::server_arguments::ServerArguments;
use crate::token::TokenCommand;
use crate::whoami::WhoAmICommand;

/// A server for API keys, and the commands that talk to it.
#[derive(Debug, Parser)]
#[command(
    name = "talos",
    version,
    max_term_width = 120,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    /// Configuration file (YAML); TALOS_… environment variables override it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) server: ServerArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server
    Serve(ServeArguments),
    /// Start a proxy that answers repeated verifications from memory
    Proxy(Box<ProxyCommand>),
    /// Issue, import, look up, change, verify and revoke API keys
    Keys(Box<KeysCommand>),
    /// Show, promote and rejoin the nodes of a cluster
    Fleet(FleetCommand),
    /// Back up all keys of a running server into a file; verify and restore such a file
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Show changes of keys as they happen
    #[command(subcommand)]
    Changes(ChangesCommand),
    /// Verify the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Generate signing keys; show the public keys of a server
    #[command(subcommand)]
    Jwk(JwkCommand),
    /// Manage the access of administrators
    Admin(AdminCommand),
    /// Show who the server takes you for, and what you may do
    #[command(name = "whoami")]
    WhoAmI(WhoAmICommand),
    /// Check, show, explain and compare configurations without a server; reload that of a server
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Replace secrets in a configuration file
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Manage the format of the database on disk
    Migrate(MigrateCommand),
    /// Inspect credentials without a server
    Token(TokenCommand),
    /// Narrow macaroons without a server
    Macaroon(MacaroonCommand),
    /// Write the script with which a shell completes commands and flags
    Completions(CompletionsCommand),
    /// Write the manual, one page for each command
    Man(ManCommand),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["talos"].iter().chain(line))
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            ["-e", "http://h:1", "keys", "verify", "x"],
            ["keys", "-e", "http://h:1", "verify", "x"],
            ["keys", "verify", "x", "-e", "http://h:1"],
            ["keys", "verify", "x", "--endpoint", "http://h:1"],
        ] {
            assert_eq!(
                parse(&line).expect("valid").server.endpoint,
                "http://h:1",
                "{line:?}"
            );
        }
        let arguments = parse(&["serve", "--dev", "--config", "talos.yaml"]).expect("valid");
        assert_eq!(arguments.config, Some(PathBuf::from("talos.yaml")));
    }

    #[test]
    fn misuse_exits_with_2_and_help_with_0() {
        for line in [
            vec!["keys", "issue", "name"],
            vec!["keys", "issue", "--actor", "a"],
            vec!["keys", "issue", "name", "--actor", "a", "--ttl", "1x"],
            vec!["keys", "issue", "name", "--actor", "a", "--metadata", "[1]"],
            vec!["keys", "issue", "name", "--actor", "a", "--metadata", "{"],
            vec![
                "keys",
                "issue",
                "name",
                "--actor",
                "a",
                "--rate-limit-quota",
                "-1",
            ],
            vec![
                "keys",
                "issue",
                "name",
                "--actor",
                "a",
                "--rate-limit-window",
                "1s",
            ],
            vec![
                "keys",
                "issue",
                "name",
                "--actor",
                "a",
                "--allowed-cidrs",
                "10.0.0.0",
            ],
            vec![
                "keys",
                "issue",
                "name",
                "--actor",
                "a",
                "--visibility",
                "hidden",
            ],
            vec![
                "keys",
                "issued",
                "update",
                "id",
                "--allowed-cidrs",
                "10.0.0.0",
            ],
            vec![
                "keys",
                "issued",
                "update",
                "id",
                "--rate-limit-window",
                "1s",
            ],
            vec!["keys", "issued", "rotate"],
            vec!["keys", "imported", "import", "n", "--actor", "a"],
            vec!["keys", "imported", "batch-import"],
            vec!["keys", "self-revoke"],
            vec!["keys", "verify"],
            vec!["keys", "revoke", "id", "--reason", "boredom"],
            vec!["keys", "issued", "get"],
            vec!["keys", "verify", "x", "--format", "xml"],
            vec!["jwk", "generate"],
            vec!["jwk", "generate", "dsa"],
            vec!["jwk", "generate", "hmac", "--bits", "255"],
            vec!["jwk", "generate", "ecdsa", "--curve", "P-999"],
            vec!["token", "inspect"],
            vec!["token", "inspect", "x", "--format", "xml"],
            vec!["macaroon", "attenuate", "x"],
            vec!["macaroon", "attenuate", "--ttl", "1m"],
            vec!["macaroon", "attenuate", "x", "--ttl", "0s"],
            vec!["macaroon", "attenuate", "x", "--ttl", "1500ms"],
            vec!["macaroon", "attenuate", "x", "--scopes", ""],
            vec!["macaroon", "attenuate", "x", "--scopes", "a,,b"],
            vec!["macaroon", "attenuate", "x", "--cidrs", "10.0.0.0"],
            vec!["serve", "--fast"],
            vec!["fly"],
            vec![],
        ] {
            assert_eq!(parse(&line).expect_err("misuse").exit_code(), 2, "{line:?}");
        }
        for line in [["--version"], ["--help"]] {
            assert_eq!(parse(&line).expect_err("a text").exit_code(), 0);
        }
        assert_eq!(
            parse(&["--version"]).expect_err("a text").kind(),
            ErrorKind::DisplayVersion
        );
    }

    #[test]
    fn misuse_of_the_proxy_exits_with_2() {
        for line in [
            vec![],
            vec!["--upstream", "localhost:4420"],
            vec!["--upstream", "http://h/base"],
            vec!["--upstream", "http://h", "--listen", "8080"],
            vec!["--upstream", "http://h", "--cache-ttl", "60"],
            vec!["--upstream", "http://h", "--cache-max-size", "-1"],
            vec!["--upstream", "http://h", "--cache-num-counters", "0"],
            vec!["--upstream", "http://h", "--upstream-timeout", "0"],
            vec!["--upstream", "http://h", "--upstream-timeout", "61s"],
            vec!["--upstream", "http://h", "--connections", "31"],
            vec!["--upstream", "http://h", "--connections-per-address", "0"],
            vec!["--upstream", "http://h", "--head-timeout", "999ms"],
            vec!["--upstream", "http://h", "--stall-timeout", "11m"],
        ] {
            let line = [vec!["proxy"], line].concat();
            assert_eq!(parse(&line).expect_err("misuse").exit_code(), 2, "{line:?}");
        }
        assert!(parse(&["proxy", "--upstream", "http://h", "--listen", ":0"]).is_ok());
    }

    #[test]
    fn misuse_of_migrate_serve_and_rsa_exits_with_2() {
        for line in [
            vec!["migrate"],
            vec!["migrate", "sideways"],
            vec!["migrate", "force"],
            vec!["migrate", "force", "one"],
            vec!["migrate", "up", "--steps", "0"],
            vec!["backup"],
            vec!["backup", "create"],
            vec!["backup", "verify"],
            vec!["backup", "restore", "f"],
            vec![
                "backup",
                "restore",
                "f",
                "--to",
                "d",
                "--log",
                "l",
                "--without-log",
            ],
            vec!["audit"],
            vec!["audit", "verify"],
            vec!["config"],
            vec!["config", "diff"],
            vec!["config", "schema", "x"],
            vec!["config", "show", "--format", "xml"],
            vec!["audit", "verify", "f", "--expect-last", "7"],
            vec!["audit", "verify", "f", "--expect-last", "7:ab"],
            vec!["changes"],
            vec!["changes", "tail", "--after", "42"],
            vec!["changes", "tail", "--kind", "KeyCreated"],
            vec!["changes", "tail", "--format", "yaml"],
            vec!["admin"],
            vec!["admin", "token", "create", "ci"],
            vec!["admin", "token", "create", "--role", "read"],
            vec!["admin", "token", "create", "ci", "--role", "root"],
            vec![
                "admin", "token", "create", "ci", "--role", "read", "--ttl", "1x",
            ],
            vec!["admin", "token", "rotate"],
            vec!["admin", "token", "revoke"],
            vec!["admin", "token", "bootstrap", "--role", "none"],
            vec!["whoami", "--token", "a", "--token-file", "b"],
            vec!["serve", "everything"],
            vec!["jwk", "generate", "rsa", "--bits", "1024"],
            vec!["jwk", "generate", "rsa", "--bits", "1920"],
            vec!["jwk", "generate", "rsa", "--bits", "2049"],
            vec!["jwk", "generate", "rsa", "--bits", "8320"],
            vec!["jwk", "generate", "ecdsa", "--curve", "secp256k1"],
            vec!["whoami", "--timeout", "0"],
            vec!["whoami", "--timeout", "2h"],
            vec!["whoami", "--timeout", "30"],
            vec!["whoami", "--retries", "11"],
            vec!["completions"],
            vec!["completions", "tcsh"],
            vec!["man"],
            vec!["jwk", "generate", "rsa", "--alg", "ES256"],
        ] {
            assert_eq!(parse(&line).expect_err("misuse").exit_code(), 2, "{line:?}");
        }
    }

    #[test]
    fn keys_of_many_lengths_can_be_generated() {
        for bits in ["2048", "2176", "3072", "4096", "6144", "8192"] {
            parse(&["jwk", "generate", "rsa", "--bits", bits]).expect("valid");
        }
        for curve in ["P-256", "P-384", "P-521"] {
            parse(&["jwk", "generate", "ecdsa", "--curve", curve]).expect("valid");
        }
    }

    #[test]
    fn credentials_may_begin_with_a_dash() {
        for line in [
            ["keys", "verify", "-x9"],
            ["keys", "self-revoke", "--x9"],
            ["token", "inspect", "-x9"],
        ] {
            parse(&line).expect("valid");
        }
        parse(&["keys", "verify", "-x9", "--no-cache"]).expect("valid");
        parse(&["keys", "verify", "--no-cache", "-x9"]).expect("valid");
        parse(&["macaroon", "attenuate", "-x9", "--ttl", "1m"]).expect("valid");
    }
}
