//! Secrets that keys need and that the node does not have.

use talos_model::clock::UnixMillis;
use talos_model::{SecretFingerprint, TenantId};

/// The secrets that keys of a tenant need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededSecrets {
    /// The tenant.
    pub tenant: TenantId,
    /// How many of them are configured.
    pub present: usize,
    /// Those that are not.
    pub missing: Vec<MissingSecret>,
}

/// A secret that has signed keys and is not configured. Its keys are refused as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// Which secret.
    pub fingerprint: SecretFingerprint,
    /// When it signed a key for the last time, to the hour.
    pub last: UnixMillis,
    /// When the last of its keys ends.
    pub needed_until: UnixMillis,
    /// How many active keys were issued in the time in which it signed.
    pub keys: KeyCount,
}

/// A number of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCount {
    /// So many.
    Exactly(u64),
    /// So many, or more: counting all of them would take too long.
    AtLeast(u64),
}

impl std::fmt::Display for KeyCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(1) => f.write_str("1 active key was"),
            Self::Exactly(keys) => write!(f, "{keys} active keys were"),
            Self::AtLeast(keys) => write!(f, "at least {keys} active keys were"),
        }
    }
}
