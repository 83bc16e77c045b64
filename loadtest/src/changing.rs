//! Keys that are made and revoked while they are verified, and what may be said of each at which moment.
//!
//! Guarantees: a key is shown to readers only after its creation was acknowledged. Its revocation is marked as sent before the
//! first byte of the request leaves, and as acknowledged after the whole answer is here. So a reader that looks before it
//! sends and again when it has its answer never calls a right answer wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::random::Random;

/// A key and how far its revocation is.
#[derive(Debug)]
pub struct ChangingKey {
    /// What is verified.
    pub credential: String,
    /// What the admin endpoints call it.
    pub key_id: String,
    sent: AtomicBool,
    acknowledged: AtomicBool,
}

impl ChangingKey {
    /// A key whose creation was acknowledged.
    #[must_use]
    pub fn new(credential: String, key_id: String) -> Self {
        Self {
            credential,
            key_id,
            sent: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
        }
    }

    /// The revocation is about to be sent: from now on both verdicts are right. Only the first caller may send it.
    #[must_use]
    pub fn revocation_leaves(&self) -> Turn {
        if self.sent.swap(true, Ordering::SeqCst) {
            Turn::Taken
        } else {
            Turn::Yours
        }
    }

    /// The revocation was acknowledged: a request sent from now on must be refused.
    pub fn revocation_is_acknowledged(&self) {
        self.acknowledged.store(true, Ordering::SeqCst);
    }

    /// What a request that is sent now must be answered.
    #[must_use]
    pub fn look(self: &Arc<Self>) -> Glance {
        Glance {
            must_be_refused: self.acknowledged.load(Ordering::SeqCst),
            key: Arc::clone(self),
        }
    }
}

/// Whose turn it is to revoke a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The caller's.
    Yours,
    /// Somebody else has begun.
    Taken,
}

/// What was known of a key when its verification was sent.
#[derive(Clone, Debug)]
pub struct Glance {
    key: Arc<ChangingKey>,
    must_be_refused: bool,
}

/// What an answer says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is valid.
    Valid,
    /// It is revoked.
    Revoked,
    /// Anything else.
    Other,
}

impl Glance {
    /// Whether an answer that is complete now may say this.
    #[must_use]
    pub fn allows(&self, said: Said) -> bool {
        match said {
            Said::Valid => !self.must_be_refused,
            Said::Revoked => self.key.sent.load(Ordering::SeqCst),
            Said::Other => false,
        }
    }
}

/// Keys kept at a time. Some of them are revoked, so that these are asked for, too.
pub const PLACES: usize = 256;

/// The keys that readers may ask for now.
#[derive(Debug)]
pub struct Pool {
    places: Vec<Mutex<Option<Arc<ChangingKey>>>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::new(None)).collect(),
        }
    }
}

impl Pool {
    fn at(&self, place: usize) -> Option<Arc<ChangingKey>> {
        let guard = self.places.get(place)?.lock();
        guard.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows a new key. It takes an empty place, else that of a key whose revocation was acknowledged, else a random one.
    pub fn show(&self, key: ChangingKey, random: &mut Random) {
        let start = random_place(random);
        let order = (start..PLACES).chain(0..start);
        let of = |wanted: fn(Option<&ChangingKey>) -> bool| {
            order
                .clone()
                .find(|place| wanted(self.at(*place).as_deref()))
        };
        let place = of(|key| key.is_none())
            .or_else(|| of(|key| key.is_some_and(|key| key.acknowledged.load(Ordering::SeqCst))))
            .unwrap_or(start);
        if let Some(place) = self.places.get(place) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
        }
    }

    /// Any key, as a verification wants it; `None` while there is none.
    pub fn any(&self, random: &mut Random) -> Option<Arc<ChangingKey>> {
        let start = random_place(random);
        (start..PLACES)
            .chain(0..start)
            .find_map(|place| self.at(place))
    }

    /// A key that nobody has begun to revoke, marked as being revoked. Only one caller gets it.
    pub fn take_for_revocation(&self, random: &mut Random) -> Option<Arc<ChangingKey>> {
        let start = random_place(random);
        (start..PLACES).chain(0..start).find_map(|place| {
            self.at(place)
                .filter(|key| key.revocation_leaves() == Turn::Yours)
        })
    }
}

fn random_place(random: &mut Random) -> usize {
    let places = u32::try_from(PLACES).unwrap_or(u32::MAX);
    usize::try_from(random.below(places)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ChangingKey {
        ChangingKey::new(name.to_owned(), format!("id of {name}"))
    }

    #[test]
    fn verdicts_are_judged_by_when_they_were_asked_and_given() {
        let key = Arc::new(key("k"));
        let before = key.look();
        assert!(before.allows(Said::Valid) && !before.allows(Said::Revoked));
        assert_eq!(key.revocation_leaves(), Turn::Yours);
        assert_eq!(key.revocation_leaves(), Turn::Taken);
        let between = key.look();
        for glance in [&before, &between] {
            assert!(glance.allows(Said::Valid) && glance.allows(Said::Revoked));
        }
        key.revocation_is_acknowledged();
        // Asked before the acknowledgement: the answer may have been made before it.
        for glance in [&before, &between] {
            assert!(glance.allows(Said::Valid) && glance.allows(Said::Revoked));
        }
        let after = key.look();
        assert!(!after.allows(Said::Valid) && after.allows(Said::Revoked));
        assert!(!before.allows(Said::Other) && !after.allows(Said::Other));
    }

    #[test]
    fn a_key_is_revoked_once_and_replaced_when_it_is() {
        let (pool, mut random) = (Pool::default(), Random::new(1, 0));
        assert!(pool.any(&mut random).is_none());
        assert!(pool.take_for_revocation(&mut random).is_none());
        for number in 0..PLACES {
            pool.show(key(&number.to_string()), &mut random);
        }
        let revoked = pool.take_for_revocation(&mut random).unwrap();
        revoked.revocation_is_acknowledged();
        for _ in 1..PLACES {
            let other = pool.take_for_revocation(&mut random).unwrap();
            assert_ne!(other.credential, revoked.credential);
        }
        assert!(pool.take_for_revocation(&mut random).is_none());
        pool.show(key("new"), &mut random);
        let shown: Vec<_> = (0..PLACES).filter_map(|place| pool.at(place)).collect();
        assert_eq!(shown.len(), PLACES);
        assert!(shown.iter().any(|key| key.credential == "new"));
        assert!(shown.iter().all(|key| key.credential != revoked.credential));
    }
}
