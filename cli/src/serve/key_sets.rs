//! Fetches the JSON Web Key sets that `https://` URLs name.

use std::time::Duration;

use talos_config::{Settings, Warning};
use talos_model::Secret;
use talos_tls::ClientFiles;
use ureq::Agent;

use crate::client_tls;
use crate::error::CliError;

/// The longest that the fetch of one set may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Far more than every set needs, in bytes.
const BYTES_MAX: u64 = 256 * 1024;
const REDIRECTS_MAX: u32 = 3;

/// Fetches the sets of `settings` that are not local, if there are any. Returns warnings for the
/// operator.
///
/// # Errors
/// When the certificate authorities cannot be read, and when a set cannot be fetched or used.
pub(super) fn fetch(settings: &mut Settings) -> Result<Vec<Warning>, CliError> {
    let mut tenants = settings.tenants.iter();
    if !tenants.any(|tenant| tenant.credentials.key_sets.has_remote()) {
        return Ok(Vec::new());
    }
    let files = ClientFiles {
        authorities: settings.credentials.key_sets_ca.clone(),
        ..ClientFiles::default()
    };
    let agent: Agent = Agent::config_builder()
        .https_only(true)
        .max_redirects(REDIRECTS_MAX)
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("talos/", env!("CARGO_PKG_VERSION")))
        .tls_config(client_tls::config(&files)?)
        .build()
        .into();
    Ok(settings.fetch_key_sets(|url| get(&agent, url))?)
}

/// The document at `url`. Messages repeat nothing of the URL, which may hold a secret, nor of the
/// document.
fn get(agent: &Agent, url: &str) -> Result<Secret, String> {
    let answer = agent.get(url).header("Accept", "application/json").call();
    let mut answer = answer.map_err(|error| match error {
        ureq::Error::StatusCode(status) => format!("the answer is {status}"),
        ureq::Error::BadUri(_) => "not a URL".to_owned(),
        error => error.to_string(),
    })?;
    let body = answer.body_mut().with_config().limit(BYTES_MAX);
    let text = body.read_to_string();
    text.map(Secret::new)
        .map_err(|_| format!("the answer is not text of at most {BYTES_MAX} bytes"))
}
