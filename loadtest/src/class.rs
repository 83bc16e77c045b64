//! Classes of requests, and how often each is sent.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The class of a request: what is known of its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An issued key, not revoked.
    Valid,
    /// An imported key, not revoked.
    Imported,
    /// A key whose revocation was acknowledged before the load began.
    Revoked,
    /// Never issued: a wrong checksum, or the shape of another system's key.
    Unknown,
    /// A JWT derived from an issued key.
    Jwt,
    /// A macaroon derived from an issued key.
    Macaroon,
    /// Many credentials in one request.
    Batch,
    /// A key that is made and revoked while it is verified.
    Changing,
}

impl Class {
    /// All classes, in the order in which reports list them.
    pub const ALL: [Self; 8] = [
        Self::Valid,
        Self::Imported,
        Self::Revoked,
        Self::Unknown,
        Self::Jwt,
        Self::Macaroon,
        Self::Batch,
        Self::Changing,
    ];

    /// The name in `--mix` and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Imported => "imported",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Jwt => "jwt",
            Self::Macaroon => "macaroon",
            Self::Batch => "batch",
            Self::Changing => "changing",
        }
    }
}

/// One value per class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerClass<T> {
    /// Of [`Class::Valid`].
    pub valid: T,
    /// Of [`Class::Imported`].
    pub imported: T,
    /// Of [`Class::Revoked`].
    pub revoked: T,
    /// Of [`Class::Unknown`].
    pub unknown: T,
    /// Of [`Class::Jwt`].
    pub jwt: T,
    /// Of [`Class::Macaroon`].
    pub macaroon: T,
    /// Of [`Class::Batch`].
    pub batch: T,
    /// Of [`Class::Changing`].
    pub changing: T,
}

impl<T> PerClass<T> {
    /// Makes the value of each class.
    pub fn by(mut make: impl FnMut(Class) -> T) -> Self {
        Self {
            valid: make(Class::Valid),
            imported: make(Class::Imported),
            revoked: make(Class::Revoked),
            unknown: make(Class::Unknown),
            jwt: make(Class::Jwt),
            macaroon: make(Class::Macaroon),
            batch: make(Class::Batch),
            changing: make(Class::Changing),
        }
    }

    /// The value of a class.
    pub fn get(&self, class: Class) -> &T {
        match class {
            Class::Valid => &self.valid,
            Class::Imported => &self.imported,
            Class::Revoked => &self.revoked,
            Class::Unknown => &self.unknown,
            Class::Jwt => &self.jwt,
            Class::Macaroon => &self.macaroon,
            Class::Batch => &self.batch,
            Class::Changing => &self.changing,
        }
    }

    /// The value of a class, to change it.
    pub fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Valid => &mut self.valid,
            Class::Imported => &mut self.imported,
            Class::Revoked => &mut self.revoked,
            Class::Unknown => &mut self.unknown,
            Class::Jwt => &mut self.jwt,
            Class::Macaroon => &mut self.macaroon,
            Class::Batch => &mut self.batch,
            Class::Changing => &mut self.changing,
        }
    }
}

/// How many requests of each class there are among [`Shares::total`], for example
/// `valid=80,revoked=10,unknown=10`.
pub type Shares = PerClass<u32>;

impl Shares {
    /// The sum of the shares; above 0.
    #[must_use]
    pub fn total(&self) -> u32 {
        Class::ALL.iter().map(|class| *self.get(*class)).sum()
    }

    /// The class at `point`, a number below [`Shares::total`].
    #[must_use]
    pub fn class_at(&self, mut point: u32) -> Class {
        for class in Class::ALL {
            match point.checked_sub(*self.get(class)) {
                Some(rest) => point = rest,
                None => return class,
            }
        }
        Class::Valid
    }

    /// The shares as percentages in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let total = f64::from(self.total().max(1));
        let parts: Vec<_> = Class::ALL
            .into_iter()
            .filter(|class| *self.get(*class) > 0)
            .map(|class| {
                let percent = f64::from(*self.get(class)) * 100.0 / total;
                format!("{percent:.0} % {}", class.name())
            })
            .collect();
        parts.join(", ")
    }
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "expected shares such as valid=80,revoked=10,unknown=10, each from 0 to 1000000 and not all 0; classes: {}",
                Class::ALL.map(Class::name).join(", ")
            )
        };
        let mut shares = Self::default();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or_else(form)?;
            let class = Class::ALL
                .into_iter()
                .find(|class| class.name() == name.trim())
                .ok_or_else(form)?;
            let share = share.trim().parse().ok();
            *shares.get_mut(class) = share.filter(|share| *share <= 1_000_000).ok_or_else(form)?;
        }
        if shares.total() == 0 {
            Err(form())
        } else {
            Ok(shares)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn shares_are_read_as_written() {
        let shares: Shares = "valid=80,revoked=10,jwt=10".parse().unwrap();
        let expected = Shares {
            valid: 80,
            revoked: 10,
            jwt: 10,
            ..Shares::default()
        };
        assert_eq!(shares, expected);
        assert_eq!(shares.in_words(), "80 % valid, 10 % revoked, 10 % jwt");
        for bad in [
            "",
            "valid",
            "valid=-1",
            "valid=0",
            "good=1",
            "valid=1,",
            "valid=1000001",
        ] {
            let error = bad.parse::<Shares>().unwrap_err();
            assert!(error.contains("macaroon"), "{bad}: {error}");
        }
    }

    #[test]
    fn classes_come_up_by_their_shares() {
        let shares: Shares = "valid=70,batch=10,changing=20".parse().unwrap();
        let mut random = Random::new(1, 0);
        let mut counts = Shares::default();
        for _ in 0..100_000 {
            *counts.get_mut(shares.class_at(random.below(shares.total()))) += 1;
        }
        assert!(counts.valid.abs_diff(70_000) < 1_000, "{counts:?}");
        assert!(counts.batch.abs_diff(10_000) < 1_000, "{counts:?}");
        assert!(counts.changing.abs_diff(20_000) < 1_000, "{counts:?}");
    }

    #[test]
    fn every_class_has_its_own_place() {
        let mut places = PerClass::by(Class::name);
        for class in Class::ALL {
            assert_eq!(*places.get(class), class.name());
            assert_eq!(*places.get_mut(class), class.name());
        }
    }
}
