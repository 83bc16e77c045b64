//! Encoding and decoding of everything that is stored. Nothing in here does I/O.

pub mod admin_token;
pub mod author;
pub mod bulk_revocation;
pub mod change;
pub mod membership;
pub mod position;
pub mod record;
pub mod request;
pub mod secret_uses;
