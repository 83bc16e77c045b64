//! Settings: what may be configured, where a value comes from, and what is wrong with it.
//!
//! One table ([`KEYS`]) names every key with its kind, bounds, default and sensitivity. The YAML file, the environment,
//! the defaults and the error messages are all read against it, so none of them can know a key that another does not.
//! An environment variable wins over the file, the file over a default.

#![forbid(unsafe_code)]

mod address;
mod byte_size;
mod client_ip_source;
mod data_directory;
mod environment;
mod error;
mod key;
mod keys;
mod kind;
mod load;
mod replication;
mod retired_issuer;
mod settings;
mod signing_keys;
mod suggestion;
mod tree;

pub use address::HostPort;
pub use error::{ConfigError, Problem, Warning};
pub use key::{Fallback, Key, Sensitivity};
pub use keys::KEYS;
pub use load::{GivenDsn, Preset};
pub use replication::{
    ChangeLog, REPLICATION_MIN_ACKS_MAX, REPLICATION_SECRETS_RETIRED_MAX, Replication,
    ReplicationRole, ReplicationTls, Snapshots,
};
pub use settings::{
    ApiKeys, Cache, CacheType, ClientIpSource, Cors, Credentials, Database, DerivedTokens,
    DriverChoice, Http, KeyPrefixes, LastUsed, Listener, Log, LogFormat, LogLevel, Quota,
    RateLimit, Secrets, Serve, Settings,
};
