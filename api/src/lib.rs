//! The REST contract: request and response types, the error envelope, and the way from engine values to JSON.
//! The only crate that knows HTTP statuses.

pub mod control;
