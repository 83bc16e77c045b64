//! The options that say which server a command talks to, and as whom.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use talos_model::{Secret, duration};
use talos_tls::{Certified, ClientFiles};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::error::CliError;
use crate::patience::Patience;

/// The environment variable that holds an admin token.
const TOKEN: &str = "TALOS_TOKEN";
/// The environment variable that names a file with an admin token.
const TOKEN_FILE: &str = "TALOS_TOKEN_FILE";
/// More than the longest bootstrap token, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;
/// The permission bits with which others than the owner can read a file.
const READABLE_BY_OTHERS: u32 = 0o044;

/// The bounds of --timeout.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// The server, and the admin token that is sent with every request.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// URL of the server; `unix:PATH` is its Unix socket
    #[arg(
        short,
        long,
        global = true,
        value_name = "URL",
        env = "TALOS_URL",
        default_value = "http://localhost:4420"
    )]
    pub(crate) endpoint: String,

    /// Admin token, sent with every request [env: `TALOS_TOKEN`]. Everyone on this machine can see
    /// the command line: prefer --token-file
    #[arg(long = "token", global = true, value_name = "TOKEN", value_parser = secret)]
    pub(crate) admin_token: Option<Secret>,

    /// File whose first line is the admin token [env: `TALOS_TOKEN_FILE`]
    #[arg(
        long = "token-file",
        global = true,
        value_name = "FILE",
        conflicts_with = "admin_token"
    )]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// Certificate authorities (PEM) for the certificate of an https:// server; default: those that
    /// browsers trust
    #[arg(long = "ca", global = true, value_name = "FILE", env = "TALOS_CA")]
    pub(crate) server_ca: Option<PathBuf>,

    /// Certificate (PEM) that is shown to an https:// server
    #[arg(long = "cert", global = true, value_name = "FILE", env = "TALOS_CERT")]
    pub(crate) client_cert: Option<PathBuf>,

    /// Private key (PEM) of --cert
    #[arg(long = "key", global = true, value_name = "FILE", env = "TALOS_KEY")]
    pub(crate) client_key: Option<PathBuf>,

    /// The longest wait for an answer of the server, all attempts together: 500ms, 30s, 5m
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(crate) timeout: Duration,

    /// How often a request is sent again after a broken connection, 503 or 429, if that is safe:
    /// 0 to 10. A key is never issued, rotated or derived from twice
    #[arg(long, global = true, value_name = "N", default_value_t = Patience::default().retries, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(crate) retries: u8,
}

/// At least a millisecond, at most an hour.
fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text).map_err(|error| error.to_string())?;
    if (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout) {
        return Ok(timeout);
    }
    Err("allowed: 1ms to 1h".to_owned())
}

/// Never fails, because an error would repeat the value.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that the parser of arguments wants"
)]
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text.to_owned()))
}

impl ServerArguments {
    /// A client of the server. It sends nothing yet.
    ///
    /// # Errors
    /// [`CliError::Usage`] when the endpoint or the token cannot be used, [`CliError::File`] and
    /// [`CliError::BadFile`] when the file of the token cannot.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let token = self.chosen_token(|name| std::env::var_os(name))?;
        let client = Client::new(&self.endpoint, token.as_ref(), &self.tls_files()?)?;
        Ok(client.with_patience(Patience {
            timeout: self.timeout,
            retries: self.retries,
        }))
    }

    /// The files of TLS. A container platform may set a variable to nothing, so an empty path is
    /// none.
    fn tls_files(&self) -> Result<ClientFiles, CliError> {
        let given =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let own = match (given(&self.client_cert), given(&self.client_key)) {
            (Some(certificates), Some(key)) => Some(Certified { certificates, key }),
            (None, None) => None,
            (Some(_), None) => return Err(unpaired("--cert (TALOS_CERT)", "--key (TALOS_KEY)")),
            (None, Some(_)) => return Err(unpaired("--key (TALOS_KEY)", "--cert (TALOS_CERT)")),
        };
        Ok(ClientFiles {
            authorities: given(&self.server_ca),
            own,
        })
    }

    /// The admin token. The command line overrides the environment.
    fn chosen_token(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Secret>, CliError> {
        if let Some(token) = &self.admin_token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &self.admin_token_file {
            return read(path).map(Some);
        }
        // A container platform may set a variable to nothing.
        let set = |name| variable(name).filter(|value| !value.is_empty());
        match (set(TOKEN), set(TOKEN_FILE)) {
            (None, None) => Ok(None),
            (None, Some(path)) => read(Path::new(&path)).map(Some),
            (Some(token), None) => {
                let text = token.into_string().map_err(|_| {
                    CliError::Usage(format!("{TOKEN} is not UTF-8, so it is no token"))
                })?;
                Ok(Some(Secret::new(text)))
            }
            (Some(_), Some(_)) => Err(CliError::Usage(format!(
                "both {TOKEN} and {TOKEN_FILE} are set; set one of them"
            ))),
        }
    }
}

fn unpaired(present: &str, absent: &str) -> CliError {
    CliError::Usage(format!("{present} needs {absent}; give both, or neither"))
}

/// The first line of a file. Warns when others can read it.
fn read(path: &Path) -> Result<Secret, CliError> {
    let shown = path.display().to_string();
    let failed = |source| CliError::File {
        path: shown.clone(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.mode() & READABLE_BY_OTHERS != 0 {
        // A warning that cannot be written does not stop the command.
        let _ = writeln!(
            io::stderr(),
            "talos: WARNING: {shown:?} holds an admin token and others can read it; \
             chmod 600 makes it private"
        );
    }
    let mut text = Zeroizing::new(String::new());
    let most = TOKEN_BYTES_MAX as u64 + 2;
    file.take(most).read_to_string(&mut text).map_err(failed)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.len() > TOKEN_BYTES_MAX {
        return Err(CliError::BadFile {
            path: shown,
            what: format!("its first line must be a token of 1 to {TOKEN_BYTES_MAX} bytes"),
        });
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn arguments(token: Option<&str>, file: Option<&Path>) -> ServerArguments {
        ServerArguments {
            endpoint: "http://localhost:4420".to_owned(),
            admin_token: token.map(|text| Secret::new(text.to_owned())),
            admin_token_file: file.map(Path::to_path_buf),
            server_ca: None,
            client_cert: None,
            client_key: None,
            timeout: Patience::default().timeout,
            retries: 0,
        }
    }

    fn found(arguments: &ServerArguments, variables: &[(&str, &str)]) -> Result<String, CliError> {
        let variable = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let token = arguments.chosen_token(variable)?;
        Ok(token.map_or("none".to_owned(), |token| token.expose().to_owned()))
    }

    #[test]
    fn the_command_line_overrides_the_environment() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        fs::write(&path, "from-file\nsecond line\n").expect("written");
        let file = path.to_str().expect("UTF-8");
        let both = [(TOKEN, "from-variable"), (TOKEN_FILE, file)];
        let none = arguments(None, None);
        for (arguments, variables, wanted) in [
            (arguments(Some("given"), None), &both[..], "given"),
            (arguments(None, Some(&path)), &both, "from-file"),
            (arguments(None, None), &both[..1], "from-variable"),
            (arguments(None, None), &both[1..], "from-file"),
            (arguments(None, None), &[(TOKEN, ""), both[1]], "from-file"),
            (arguments(None, None), &[], "none"),
        ] {
            assert_eq!(found(&arguments, variables).expect("a token"), wanted);
        }
        let error = found(&none, &both).expect_err("one of them too many");
        assert!(matches!(error, CliError::Usage(_)), "{error}");
        assert!(!error.to_string().contains("from-variable"));
    }

    #[test]
    fn a_file_without_a_token_is_refused_and_never_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let long = "s3cret".repeat(TOKEN_BYTES_MAX / 6 + 1);
        for content in ["", "\n", "\ntoken", &long] {
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
            let error = found(&arguments(None, Some(&path)), &[]).expect_err("no token");
            let report = error.report();
            assert!(
                report.contains("its first line must be a token"),
                "{report}"
            );
            assert!(!report.contains("s3cret"), "{report}");
        }
        let missing = directory.path().join("missing");
        let error = found(&arguments(None, Some(&missing)), &[]).expect_err("no file");
        assert!(matches!(error, CliError::File { .. }), "{error}");
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let with = |cert: Option<&str>, key: Option<&str>| ServerArguments {
            server_ca: Some(PathBuf::new()),
            client_cert: cert.map(PathBuf::from),
            client_key: key.map(PathBuf::from),
            ..arguments(None, None)
        };
        let files = with(Some("c"), Some("k")).tls_files().expect("files");
        assert!(files.own.is_some() && files.authorities.is_none());
        for none in [with(None, None), with(Some(""), Some(""))] {
            assert_eq!(none.tls_files().expect("none"), ClientFiles::default());
        }
        for (cert, key, absent) in [(Some("c"), None, "--key"), (None, Some("k"), "--cert")] {
            let error = with(cert, key).tls_files().expect_err("one of two");
            assert!(error.to_string().contains(absent), "{error}");
        }
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let shown = format!("{:?}", arguments(Some("s3cret"), None));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
