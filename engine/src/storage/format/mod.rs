//! The bytes of what is stored. Nothing in here does I/O.

pub mod bulk_revocation;
pub mod change;
pub mod membership;
pub mod position;
pub mod record;
