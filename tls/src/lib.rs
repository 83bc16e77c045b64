//! TLS for the listeners and the clients of Talos: which files it reads, which versions it speaks,
//! and how it takes renewed certificates into use without a restart.
//!
//! This crate makes rustls configurations. It moves no bytes: each listener and client drives
//! rustls over its own I/O.
//!
//! Guarantees:
//! - The current configuration is read without a lock, so a core never waits for a reload.
//! - Files that cannot be used never replace a configuration that works.
//! - The crypto provider is always given; the process-wide default is not used.

#![forbid(unsafe_code)]

mod certified;
mod client;
mod error;
mod identity;
pub mod limits;
mod pem;
mod protocol;
mod reload;
mod server;
mod stamp;
#[cfg(test)]
#[allow(dead_code, reason = "other crates use the rest")]
#[path = "../../tests/kit/src/certificates.rs"]
mod test_authority;

pub use certified::Certified;
pub use client::{ClientFiles, ClientTls, server_name};
pub use error::TlsError;
pub use identity::{ClientIdentity, UnreadableCertificate};
pub use protocol::Protocol;
pub use reload::{Reload, Reloader};
pub use server::{ClientAuthority, ClientCertificate, ServerFiles, ServerTls};
pub use stamp::Stamp;
