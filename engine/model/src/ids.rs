//! Ids and positions, each with its own type so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The tenant (network) that a key belongs to. It comes from the request's host, never from its
/// body, and is part of every record's key in memory and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub Uuid);

impl TenantId {
    /// The one tenant of a server without multitenancy: the nil UUID.
    pub const SINGLE: Self = Self(Uuid::nil());
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The id of a key: a UUID for an issued key, the SHA-512/256 of tenant and raw key for an imported
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyId {
    /// A key that this server generated.
    Issued(Uuid),
    /// A key that another system generated. This server knows only its digest.
    Imported([u8; 32]),
}

/// A text that is neither a hyphenated lower-case UUID nor 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key id")]
pub struct InvalidKeyId;

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    /// Accepts exactly the form that [`fmt::Display`] writes, so that an id has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        match text.len() {
            36 if text.bytes().all(|c| c == b'-' || lower(c)) => Uuid::try_parse(text)
                .map(Self::Issued)
                .map_err(|_| InvalidKeyId),
            64 if text.bytes().all(lower) => {
                let mut digest = [0; 32];
                for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| InvalidKeyId)?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidKeyId)?;
                }
                Ok(Self::Imported(digest))
            }
            _ => Err(InvalidKeyId),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued(uuid) => uuid.hyphenated().fmt(f),
            Self::Imported(digest) => digest.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// A shard: one part of the key space. The engine's `shards.rs` assigns keys to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// The number of a change. Sequences start at 1, have no gaps, and order all changes, within an
/// epoch and across epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The sequence `count` places after this one.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }
}

/// The number of an epoch. Every promotion of a primary starts a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch in which a database is created.
    pub const FIRST: Self = Self(1);
}

/// A position in the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The epoch of the change.
    pub epoch: Epoch,
    /// The number of the change.
    pub sequence: Sequence,
}

impl Position {
    /// The position before the first change.
    pub const START: Self = Self {
        epoch: Epoch::FIRST,
        sequence: Sequence(0),
    };

    /// The next position in the same epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            epoch: self.epoch,
            sequence: self.sequence.next(),
        }
    }
}

impl fmt::Display for Position {
    /// As `EPOCH.SEQUENCE`, both in decimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.sequence.0)
    }
}

/// A text that is not two decimal numbers with a dot between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: EPOCH.SEQUENCE, such as 1.42")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Accepts exactly the form that [`fmt::Display`] writes, so that a position has one spelling.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let number = |digits: &str| {
            let is_plain = digits == "0" || !digits.starts_with('0');
            let is_decimal = is_plain && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_decimal.then(|| digits.parse().ok()).flatten();
            number.ok_or(InvalidPosition)
        };
        let (epoch, sequence) = text.split_once('.').ok_or(InvalidPosition)?;
        Ok(Self {
            epoch: Epoch(number(epoch)?),
            sequence: Sequence(number(sequence)?),
        })
    }
}

/// Which system issued a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// This server.
    Issued,
    /// Another system.
    Imported,
}

impl KeyKind {
    /// Its byte on disk.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Issued => 0,
            Self::Imported => 1,
        }
    }
}

impl KeyId {
    /// Which system issued the key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Issued(_) => KeyKind::Issued,
            Self::Imported(_) => KeyKind::Imported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_has_one_spelling() {
        let issued = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
        let imported = "ab".repeat(32);
        for text in [issued, imported.as_str()] {
            assert_eq!(
                text.parse::<KeyId>().map(|id| id.to_string()),
                Ok(text.to_owned())
            );
        }
        let long = "a".repeat(63) + "g";
        for text in [
            "",
            "x",
            &issued.to_uppercase(),
            &imported.to_uppercase(),
            &issued.replace('-', ""),
            &long,
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(InvalidKeyId), "{text}");
        }
    }

    #[test]
    fn a_position_has_one_spelling() {
        for text in ["1.0", "1.42", "18446744073709551615.18446744073709551615"] {
            let position: Position = text.parse().expect("a position");
            assert_eq!(position.to_string(), text);
        }
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "01.1",
            "1.01",
            "+1.1",
            "1.1.1",
            "1.1 ",
            "1,1",
            "-1.1",
            "18446744073709551616.1",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}
