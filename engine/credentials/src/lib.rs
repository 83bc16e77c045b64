//! Credentials: the formats of issued and imported keys, derived tokens and admin tokens, the
//! keyring that makes and verifies the first three, and the derivation of tokens from keys.
//!
//! Pure functions of their arguments: no clock, no storage, no threads.

#![forbid(unsafe_code)]

mod acceptance;
pub mod admin_token;
mod base58;
mod derive;
mod digest;
pub mod issued;
mod keyring;
mod macaroon_prefixes;
mod own;
mod public_part;
mod settings;
pub mod shape;
mod tenant;
pub mod token;
#[cfg(test)]
mod vectors;

pub use acceptance::acceptance;
pub use derive::{DeriveError, DeriveToken, DerivedToken, derive};
pub use digest::{ProofDigests, imported_key_id};
pub use keyring::{CannotMint, Keyring};
pub use macaroon_prefixes::MacaroonPrefixes;
pub use own::OwnKind;
pub use public_part::{PublicPart, credential_kind, public_part};
pub use settings::{KeyringSettings, Prefixes, RetiredIssuer, RetiredSecret, TokenSettings};
pub use tenant::{Enforcement, Hosts, Tenant};
