//! `talos serve --dev`: a server that needs no configuration.
//!
//! Guarantees:
//! - The secrets are generated once. A file gets its name only after it is on disk, so it is
//!   complete or missing.
//! - Only their owner can read them.
//! - They are never overwritten, not even by two servers that start at the same time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use talos_config::Preset;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::jwk::Jwk;

/// The directory of everything that a development server stores, below the working directory.
pub(crate) const DIRECTORY: &str = "./talos-data";
/// The default port of the API.
pub(crate) const PORT: u16 = 4420;
/// The default port of the metrics.
pub(crate) const METRICS_PORT: u16 = 4422;

const SECRET_BYTES: usize = 32;

/// The secrets of a development server, generated now or at an earlier start.
pub(crate) struct Development {
    directory: PathBuf,
    hmac_secret: Zeroizing<String>,
    signing_keys: PathBuf,
}

impl Development {
    /// Creates `directory` and the secrets in it, if they are missing.
    pub(crate) fn prepare(directory: &Path) -> Result<Self, CliError> {
        let secrets = directory.join("dev");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&secrets)
            .map_err(|source| failed(&secrets, source))?;
        let hmac_path = secrets.join("hmac-secret");
        let hmac_secret = read_or_make(&hmac_path, || Ok(hex(&*random()?)))?;
        let signing_keys = secrets.join("signing-keys.json");
        read_or_make(&signing_keys, generate_signing_keys)?;
        Ok(Self {
            directory: directory.to_owned(),
            hmac_secret: Zeroizing::new(hmac_secret.trim_end().to_owned()),
            signing_keys,
        })
    }

    /// The defaults of a development server that listens on `port`.
    pub(crate) fn presets(&self, port: u16) -> Vec<Preset> {
        [
            ("serve.http.host", "127.0.0.1".to_owned()),
            ("serve.public.host", "127.0.0.1".to_owned()),
            ("serve.metrics.host", "127.0.0.1".to_owned()),
            ("serve.metrics.port", METRICS_PORT.to_string()),
            ("credentials.issuer", format!("http://localhost:{port}")),
            (
                "credentials.derived_tokens.jwt.signing_keys.urls",
                format!("file://{}", self.signing_keys.display()),
            ),
            ("secrets.hmac.current", self.hmac_secret.to_string()),
            ("db.dsn", format!("rocksdb://{}", self.directory.display())),
            ("log.level", "warn".to_owned()),
            ("log.format", "text".to_owned()),
        ]
        .map(|(path, value)| Preset {
            path,
            values: vec![value],
        })
        .into()
    }
}

/// A listener of the server.
#[derive(Clone, Copy)]
pub(crate) struct Listener {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whether its connections use TLS.
    pub(crate) has_tls: bool,
}

impl Listener {
    /// The URL that reaches it from this machine.
    fn url(self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        match self.address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => {
                format!("{scheme}://localhost:{}", self.address.port())
            }
            _ => format!("{scheme}://{}", self.address),
        }
    }
}

/// The text that tells the person who started the server where everything is.
pub(crate) fn banner(
    api: Listener,
    public: Option<Listener>,
    metrics: Option<Listener>,
    driver: &str,
    data: &Path,
) -> String {
    let url = api.url();
    let metrics = metrics.map_or_else(String::new, |metrics| {
        format!(" Metrics are at {}/metrics.", metrics.url())
    });
    let public = public.map_or_else(String::new, |public| {
        format!(" Those who only verify use {}.", public.url())
    });
    let data = data.display();
    format!(
        "Talos {version}, a development server, listens on {url} ({driver}).\n\
         Data is in {data}.{public}{metrics} Stop with Ctrl-C.\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The first commands to try.
pub(crate) fn examples(api: Listener) -> String {
    let url = api.url();
    format!(
        r#"
Issue a key:
  curl -s -X POST {url}/v2alpha1/admin/issuedApiKeys -H 'Content-Type: application/json' \
    -d '{{"name": "My first key", "actor_id": "me", "scopes": ["read:*"], "ttl": "168h"}}'

Verify it, with the "secret" of the answer:
  export API_SECRET=...
  curl -s -X POST {url}/v2alpha1/admin/apiKeys:verify -H 'Content-Type: application/json' \
    -d "{{\"credential\": \"$API_SECRET\"}}"

Revoke it, with the "key_id" of the answer:
  export KEY_ID=...
  curl -s -X POST {url}/v2alpha1/admin/apiKeys/$KEY_ID:revoke -H 'Content-Type: application/json' \
    -d '{{"reason": "REVOCATION_REASON_SUPERSEDED"}}'
"#
    )
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::DevelopmentSecrets {
        path: path.display().to_string(),
        source,
    }
}

/// The text of the file at `path`. If the file does not exist, it is created with the text that
/// `make` returns.
fn read_or_make(
    path: &Path,
    make: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> Result<Zeroizing<String>, CliError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(Zeroizing::new(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, error)),
    }
    make()
        .and_then(|text| publish(path, &text))
        .and_then(|()| fs::read_to_string(path))
        .map(Zeroizing::new)
        .map_err(|source| failed(path, source))
}

/// Writes `text` to a temporary file, syncs it and gives it the name `path`. If another process was
/// faster, its file stays.
fn publish(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", hex(&*random()?).as_str()));
    let written = write_durably(&temporary, text).and_then(|()| {
        // A rename would replace the file of the other process; a hard link cannot.
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    let removed = fs::remove_file(&temporary);
    written.and(removed)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn random() -> io::Result<Zeroizing<[u8; SECRET_BYTES]>> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    Zeroizing::new(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .flatten()
            .collect(),
    )
}

/// A JWK set with one Ed25519 key. Its `kid` is its RFC 7638 thumbprint.
fn generate_signing_keys() -> io::Result<Zeroizing<String>> {
    let key = Jwk::ed25519().map_err(|error| io::Error::other(error.to_string()))?;
    let set = json!({ "keys": [key.named(None, "sig")] });
    Ok(Zeroizing::new(set.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use talos_config::Settings;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_for_their_owner_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("talos-data");
        let first = Development::prepare(&data).expect("secrets");
        let secrets = data.join("dev");
        assert_eq!(mode(&secrets), 0o700);
        let mut names: Vec<_> = fs::read_dir(&secrets)
            .expect("there")
            .map(|entry| entry.expect("one").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["hmac-secret", "signing-keys.json"]);
        let texts = names.iter().map(|name| {
            let path = secrets.join(name);
            assert_eq!(mode(&path), 0o600);
            fs::read_to_string(path).expect("text")
        });
        let texts: Vec<String> = texts.collect();
        assert_eq!(first.hmac_secret.len(), 2 * SECRET_BYTES);

        let second = Development::prepare(&data).expect("secrets");
        assert_eq!(*second.hmac_secret, *first.hmac_secret);
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(&fs::read_to_string(secrets.join(name)).expect("text"), text);
        }
        let other = Development::prepare(&directory.path().join("other")).expect("secrets");
        assert_ne!(*other.hmac_secret, *first.hmac_secret);
    }

    #[test]
    fn a_secret_that_somebody_else_published_first_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        fs::write(&path, "theirs").expect("written");
        publish(&path, "ours").expect("no error");
        assert_eq!(fs::read_to_string(&path).expect("text"), "theirs");
        assert_eq!(fs::read_dir(directory.path()).expect("there").count(), 1);
    }

    #[test]
    fn presets_are_complete_settings_that_lose_against_the_environment() {
        let directory = tempfile::tempdir().expect("a directory");
        let development =
            Development::prepare(&directory.path().join("talos-data")).expect("secrets");
        let presets = development.presets(4420);
        let (settings, warnings) =
            Settings::load(None, std::iter::empty(), &presets).expect("settings");
        assert_eq!(
            (settings.credentials.issuer.as_str(), warnings.len()),
            ("http://localhost:4420", 0)
        );
        assert!(settings.serve.http.listener.address().ip().is_loopback());
        let metrics = settings.serve.metrics.address();
        assert_eq!(metrics, SocketAddr::from(([127, 0, 0, 1], METRICS_PORT)));
        assert!(settings.credentials.signing_keys.signing_key(None).is_ok());
        let host = ("TALOS_SERVE_HTTP_HOST".to_owned(), "::".to_owned());
        let (settings, _) = Settings::load(None, [host].into_iter(), &presets).expect("settings");
        assert!(settings.serve.http.listener.host.is_unspecified());
    }

    #[test]
    fn the_banner_names_the_address_that_works() {
        let listener = |address: &str, has_tls| Listener {
            address: address.parse().expect("an address"),
            has_tls,
        };
        for (address, url) in [
            ("127.0.0.1:4420", "http://localhost:4420/v2alpha1"),
            ("[::]:1", "http://localhost:1/v2alpha1"),
            ("192.0.2.1:80", "http://192.0.2.1:80/v2alpha1"),
        ] {
            let api = listener(address, false);
            let data = Path::new("./talos-data");
            let banner = banner(api, None, None, "epoll", data) + &examples(api);
            assert!(
                banner.contains(url) && banner.contains("(epoll)"),
                "{banner}"
            );
            assert!(!banner.contains("Metrics"), "{banner}");
            assert!(!banner.contains("only verify"), "{banner}");
        }
        let banner = banner(
            listener("127.0.0.1:1", true),
            Some(listener("127.0.0.1:3", false)),
            Some(listener("127.0.0.1:2", true)),
            "epoll",
            Path::new("./talos-data"),
        );
        assert!(
            banner.contains(" https://localhost:2/metrics. "),
            "{banner}"
        );
        assert!(banner.contains(" on https://localhost:1 "), "{banner}");
        assert!(banner.contains(" use http://localhost:3. "), "{banner}");
    }
}
