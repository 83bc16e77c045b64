//! Limits of the data: credentials, tokens, shards, epoch histories.

/// The most epochs that a node remembers. Each promotion adds one; the oldest are dropped first.
pub const EPOCH_HISTORY_EPOCHS: usize = 256;
/// The most admin tokens that may exist. Expired tokens count until they are revoked.
pub const ADMIN_TOKENS: usize = 1000;
/// How often the use of a secret is noted again, in milliseconds.
pub const SECRET_USE_INTERVAL_MS: i64 = 60 * 60 * 1000;
/// The most values of one setting that nodes compare.
pub const ACCEPTED_VALUES: usize = 2400;
/// The longest value that nodes compare as it is, in bytes; of longer ones they compare a digest.
pub const ACCEPTED_VALUE_BYTES: usize = 256;
/// The longest credential that is accepted, in bytes.
pub const CREDENTIAL_BYTES: usize = 8192;
/// The most shards a database may have; a power of two.
pub const SHARDS_MAX: u16 = 256;
/// The most levels of nested objects and arrays in the JSON of a token.
pub const TOKEN_JSON_DEPTH: usize = 32;
/// The most scopes of a token; the same limit as for a key.
pub const TOKEN_SCOPES: usize = 100;
/// The most address blocks of a token; the same limit as for a key.
pub const TOKEN_CIDRS: usize = 100;
/// The most audiences of a token.
pub const TOKEN_AUDIENCES: usize = 16;
/// The most caveats of a macaroon, including the one that holds the claims.
pub const MACAROON_CAVEATS: usize = 32;

const _: () = assert!(SHARDS_MAX.is_power_of_two());
