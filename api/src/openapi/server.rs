//! The settings of a server that its document shows.

/// What the document says about the server that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server<'a> {
    /// Its version.
    pub version: &'a str,
    /// The longest lifetime of its keys, in seconds.
    pub lifetime_max_s: u64,
    /// Whether it has a prefix for public keys.
    pub issues_public_keys: bool,
}
