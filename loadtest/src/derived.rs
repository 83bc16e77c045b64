//! Credentials that are computed from a seed and a number. Ten million of them take no memory, and
//! a later run can use the keys that an earlier one has imported.
//!
//! Anyone who knows the seed knows the credentials: they are for servers under test only.

use crate::random::mixed;

/// A family of credentials. Families of the same seed do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Imported and left as they are.
    Imported,
    /// Imported and revoked.
    ImportedRevoked,
    /// Never imported.
    Unknown,
    /// Imported while the load runs.
    Changing,
}

impl Family {
    fn stream(self) -> u64 {
        match self {
            Self::Imported => 1,
            Self::ImportedRevoked => 2,
            Self::Unknown => 3,
            Self::Changing => 4,
        }
    }
}

/// The length of a credential, in bytes.
pub const LENGTH: usize = PREFIX.len() + 32;
const PREFIX: &[u8] = b"sk_load_";

/// Appends credential `number` of the family. All credentials of a family and seed differ.
pub fn append(seed: u64, family: Family, number: u64, out: &mut Vec<u8>) {
    let family_start = mixed(seed).wrapping_add(family.stream() << 60);
    let first = mixed(family_start.wrapping_add(number));
    let second = mixed(first ^ seed.rotate_left(32));
    out.extend_from_slice(PREFIX);
    for half in [first, second] {
        for byte in half.to_be_bytes() {
            out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' - 10 + nibble
    }
}

/// Credential `number` of the family as text.
#[must_use]
pub fn text(seed: u64, family: Family, number: u64) -> String {
    let mut out = Vec::with_capacity(LENGTH);
    append(seed, family, number, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_credentials_are_alike() {
        let mut seen = HashSet::new();
        for seed in [0, 1, 2] {
            for family in [
                Family::Imported,
                Family::ImportedRevoked,
                Family::Unknown,
                Family::Changing,
            ] {
                for number in 0..10_000 {
                    let text = text(seed, family, number);
                    assert_eq!(text.len(), LENGTH);
                    assert!(seen.insert(text), "{seed} {family:?} {number}");
                }
            }
        }
    }

    #[test]
    fn a_credential_stays_the_same_from_version_to_version() {
        // A server that was seeded by an earlier version holds these.
        assert_eq!(
            text(1, Family::Imported, 0),
            "sk_load_110044df83618869f2050d39138ced7e"
        );
    }
}
