//! Settings: what can be configured, where each value comes from, and what is wrong with it.
//!
//! One table ([`KEYS`]) lists every key with its kind, bounds, default and sensitivity. The YAML
//! file, the environment, the defaults and the error messages all use this table, so they always
//! agree on the keys. An environment variable overrides the file; the file overrides a default.
//!
//! `keys.rs` says how to add a key.

#![forbid(unsafe_code)]

mod address;
mod admin_auth;
mod apply;
mod assignment;
mod audit;
mod byte_size;
mod checks;
mod client_ip_source;
mod credentials;
mod data_directory;
mod effective;
mod environment;
mod error;
mod example;
mod file;
mod fixed;
mod forward;
mod hmac_rotation;
mod http_limits;
mod input;
mod key;
mod keys;
mod kind;
mod list_text;
mod listener_tls;
mod load;
mod mapping;
mod mask;
mod memory;
mod networks;
mod placeholder;
mod public;
mod replication;
mod retired;
mod scalar;
mod schema;
mod secret_file;
mod section;
mod settings;
mod signing_keys;
mod suggestion;
mod tenant_cache;
mod tenant_settings;
mod tenants;
mod throttle;
mod tree;
mod trusted_proxies;
mod value;
mod yaml;

pub use address::HostPort;
pub use admin_auth::{
    AdminAuth, BOOTSTRAP_TOKEN_CHARACTERS_MAX, CertificateName, CertificateRule, PeerRule,
};
pub use apply::Preset;
pub use assignment::Origin;
pub use audit::{Audit, AuditFile, AuditFsync};
pub use credentials::{ApiKeys, Credentials, DerivedTokens, KeyPrefixes, Secrets};
pub use effective::{Change, Difference, Effective, EffectiveValue, Overridden};
pub use error::{ConfigError, Problem, Warning};
pub use file::ConfigFile;
pub use fixed::FixedValues;
pub use forward::{Forward, leaves_machine_in_plain};
pub use hmac_rotation::{RotationError, rotate_hmac};
pub use http_limits::{HttpLimits, HttpTimeouts};
pub use key::{Fallback, Key, Reload, Sensitivity};
pub use keys::{KEYS, find_key, keys_inside, suggested_paths};
pub use listener_tls::ListenerTls;
pub use load::DsnOverride;
pub use mask::MASK;
pub use memory::{MemoryPart, MemoryPlan, SCARCE_MEMORY};
pub use networks::Multitenancy;
pub use public::{PublicListener, PublicSurface};
pub use replication::{
    ChangeLog, REPLICATION_MIN_ACKS_MAX, REPLICATION_SECRETS_RETIRED_MAX, Replication,
    ReplicationRole, ReplicationTls, Snapshots,
};
pub use schema::json_schema;
pub use section::{SECTIONS, Section, find_section};
pub use settings::{
    Cache, CacheType, ClientIpSource, Cors, Database, DriverChoice, Http, LastUsed, Listener, Log,
    LogFormat, LogLevel, Quota, RateLimit, Serve, Settings,
};
pub use signing_keys::KeySets;
pub use tenant_cache::TenantCache;
pub use tenant_settings::TenantSettings;
pub use throttle::{Throttle, ThrottleRate};
pub use trusted_proxies::TrustedProxies;
pub use yaml::{SectionComments, YamlWriter, flow};
