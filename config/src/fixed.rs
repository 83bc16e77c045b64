//! The values that a running server does not change.

use std::fmt;

/// The values of the keys that take effect only at a start, to find out later which of them have
/// changed. It holds hashes, because some values are secrets.
#[derive(Clone, Default)]
pub struct FixedValues(Vec<(&'static str, u64)>);

impl FixedValues {
    /// The hashes of the values by the paths of their keys, always in the same order.
    pub(crate) fn new(hashes: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(hashes.collect())
    }

    /// The paths of the keys that have other values in `other`.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        let changed = pairs.filter(|(one, other)| one != other);
        changed.map(|((path, _), _)| *path).collect()
    }
}

impl fmt::Debug for FixedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedValues")
    }
}
