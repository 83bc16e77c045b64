//! The secrets and names by which credentials of one tenant are made and recognised.
use crate::secret::Secret;

/// What the configuration says about credentials.
#[derive(Clone, Debug)]
pub struct KeyringSettings {
    /// Makes and verifies checksums; at least 32 characters.
    pub hmac_current: Secret,
    /// Still verify checksums, tried in order after the current one.
    pub hmac_retired: Vec<Secret>,
    /// The prefixes of issued keys.
    pub prefixes: Prefixes,
    /// Named in every valid answer.
    pub issuer: String,
    /// The greatest age of an issued key in seconds, whatever its record says.
    pub max_ttl_s: u64,
    /// How far clocks may differ, in seconds.
    pub clock_skew_s: u64,
}

/// The prefixes of issued keys: 1–16 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug)]
pub struct Prefixes {
    /// For new secret keys.
    pub current: String,
    /// Still accepted.
    pub retired: Vec<String>,
    /// For new public keys; `None` = public keys cannot be issued.
    pub public_current: Option<String>,
    /// Still accepted.
    pub public_retired: Vec<String>,
}

/// Ready-to-use secrets and prefixes.
pub struct Keyring {
    pub(crate) settings: KeyringSettings,
}

impl Keyring {
    /// Prepares the secrets.
    #[must_use]
    pub fn new(settings: KeyringSettings) -> Self { Self { settings } }
}
