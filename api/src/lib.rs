//! The REST contract: routes, requests, answers and errors. Only this crate pairs errors with HTTP
//! statuses.
//!
//! One module per action reads its request and renders its answer. No module does I/O or reads a
//! clock; callers pass the time in.

#![forbid(unsafe_code)]

pub mod admin_token;
pub mod audit;
pub mod batch_import;
pub mod batch_verify;
pub mod bearer;
pub mod change;
pub mod config;
pub mod control;
pub mod derive;
pub mod error;
mod filter;
pub mod fleet;
pub mod health;
pub mod host;
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
pub mod whoami;
