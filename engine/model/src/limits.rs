//! Bounds of the data: what a credential, a token, a node's past may hold.

/// Epochs that a node remembers. Each is a promotion; the oldest are forgotten first.
pub const EPOCH_HISTORY_EPOCHS: usize = 256;
/// The longest credential that is looked at, in bytes.
pub const CREDENTIAL_BYTES: usize = 8192;
/// The most shards a database may have; a power of two.
pub const SHARDS_MAX: u16 = 256;
/// Levels of objects and arrays in the JSON of a token.
pub const TOKEN_JSON_DEPTH: usize = 32;
/// Scopes that a token may carry, as many as a key.
pub const TOKEN_SCOPES: usize = 100;
/// Blocks of addresses that a token may carry, as many as a key.
pub const TOKEN_CIDRS: usize = 100;
/// Audiences that a token may name.
pub const TOKEN_AUDIENCES: usize = 16;
/// Caveats of a macaroon, that with the claims included.
pub const MACAROON_CAVEATS: usize = 32;

const _: () = assert!(SHARDS_MAX.is_power_of_two());
