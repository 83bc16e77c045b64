//! `talos-loadtest hostile`: valid load while hostile clients attack.
//!
//! `campaign.rs` starts the server (`settings.rs`), makes the keys, and runs rounds: valid load
//! without, then with hostile clients. The thread of `swarm.rs` plays these. Each is a `client.rs`
//! that follows a `script.rs`, which `compose/` has written for its kind (`attack.rs`), over a
//! `wire.rs`. With `--tls` the server has a certificate of `certificate.rs`.
//! `newcomers.rs` are callers with new connections. `bound.rs` says how much memory the server may
//! take, `verdict.rs` whether the run has failed.

pub mod arguments;
mod attack;
mod bound;
mod campaign;
mod certificate;
mod client;
mod compose;
mod newcomers;
mod received;
pub mod report;
mod script;
mod settings;
mod swarm;
mod tally;
mod text;
mod verdict;
mod wire;

#[cfg(test)]
pub use self::attack::Attack;
pub use self::campaign::run;
