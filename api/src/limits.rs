//! Every bound of the contract's fields, in one place. Characters are Unicode scalar values.

/// How deeply the objects and arrays of a body may nest.
pub const JSON_DEPTH: usize = 32;
/// The longest name of a key or of an admin token, in characters.
pub const NAME_CHARS: usize = 255;
/// The longest id of a tenant, in characters: a UUID in its longest form has 45.
pub const TENANT_CHARS: usize = 45;
/// The longest actor, in characters.
pub const ACTOR_ID_CHARS: usize = 255;
/// The most scopes of a key.
pub const SCOPES: usize = 100;
/// The longest scope, in characters.
pub const SCOPE_CHARS: usize = 255;
/// The largest metadata, in bytes of JSON without insignificant white space.
pub const METADATA_BYTES: usize = 64 * 1024;
/// The longest idempotency id, in characters: a UUID has 36.
pub const REQUEST_ID_CHARS: usize = 36;
/// The shortest lifetime of a key, in seconds.
pub const TTL_SECONDS_MIN: u64 = 1;
/// The longest lifetime of a key, in seconds: ten years of 365 days.
pub const TTL_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;
/// The most blocks of an IP restriction.
pub const CIDRS: usize = 100;
/// The longest text that explains a revocation, in characters.
pub const REVOCATION_DESCRIPTION_CHARS: usize = 4096;
/// The longest prefix of issued keys, in characters.
pub const PREFIX_CHARS: usize = 16;
/// The most bytes of metadata in the condition of a bulk revocation, names and values together.
pub const WHERE_METADATA_BYTES: usize = 4 * 1024;
/// The longest credential, in bytes.
pub const CREDENTIAL_BYTES: usize = talos_model::limits::CREDENTIAL_BYTES;
/// The longest key that can be imported, in bytes. A longer one could not be verified.
pub const RAW_KEY_BYTES: usize = CREDENTIAL_BYTES;
/// The most keys of one import.
pub const BATCH_IMPORT_KEYS: usize = 1000;
/// The keys of a page when the request names no size.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// The most keys of a page.
pub const PAGE_SIZE_MAX: usize = 1000;
/// The longest page token that is decoded, in bytes. Valid tokens have fewer than 256.
pub const PAGE_TOKEN_BYTES: usize = 1024;
/// The longest text about a forwarded client that is looked at, in bytes. A name of 255 characters
/// fits.
pub const FORWARDED_CLIENT_BYTES: usize = 4 * 1024;
/// The most audiences of a request.
pub const AUDIENCES: usize = 16;
/// The most requests of one batch verification.
pub const BATCH_VERIFY_REQUESTS: usize = 100;
/// The longest audience, in characters.
pub const AUDIENCE_CHARS: usize = 255;

const _: () = assert!(TTL_SECONDS_MAX == 315_360_000);
