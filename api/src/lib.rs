//! The REST contract: request and response types, the error envelope, and the way from engine values to JSON.
//! The only crate that knows HTTP statuses.
//!
//! One module per action reads its request and renders its answer; none of them does I/O or looks at a clock.

#![forbid(unsafe_code)]

pub mod batch_import;
pub mod batch_verify;
pub mod bearer;
pub mod change;
pub mod control;
pub mod derive;
pub mod error;
mod filter;
pub mod fleet;
pub mod health;
pub mod import;
pub mod issue;
mod json;
pub mod jwks;
pub mod key;
mod key_fields;
mod key_tables;
pub mod limits;
pub mod list;
mod names;
pub mod openapi;
pub mod page_token;
mod percent;
mod query;
pub mod quota_fields;
mod refusal;
mod render;
pub mod revoke;
pub mod revoke_where;
pub mod rotate;
pub mod route;
mod schema;
pub mod self_revoke;
pub mod short;
pub mod timestamp;
pub mod update;
pub mod verify;
pub mod version;
