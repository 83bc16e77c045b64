//! A value as a source spells it, and why it is refused.

use crate::mapping::Mapping;

/// The value that a source gives to a key, before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A scalar.
    One(String),
    /// A list of scalars.
    Many(Vec<String>),
    /// A list of items that may expire.
    Expiring(Vec<ExpiringItem>),
    /// A list of mappings.
    Mappings(Vec<Mapping>),
}

/// An item of a list whose items may expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpiringItem {
    pub(crate) value: String,
    /// An RFC 3339 time; `None` = the item does not expire.
    pub(crate) expires_at: Option<String>,
}

/// Why a value is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The index of the item in a list, from 0.
    pub(crate) item: Option<usize>,
    /// The value. It is shown only if the key is not sensitive.
    pub(crate) value: String,
    /// What is wrong. Does not contain the value.
    pub(crate) problem: String,
}
