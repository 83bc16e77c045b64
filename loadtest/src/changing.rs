//! Keys that are made and revoked while they are verified, and which verdict is right for each at
//! which moment.
//!
//! Guarantees: readers see a key only after its creation was acknowledged. A revocation is marked
//! as sent before the first byte of the request is sent, and as acknowledged after the whole answer
//! has been received. A reader takes a snapshot before it sends, and asks it when the answer is
//! complete. It therefore never calls a right answer wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::random::Random;

/// A key and the state of its revocation.
#[derive(Debug)]
pub struct ChangingKey {
    /// The credential that is verified.
    pub credential: String,
    /// Its id at the admin endpoints.
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

    /// Claims the right to send the revocation. From now on both verdicts are right. Only one
    /// caller wins.
    #[must_use]
    pub fn claim_revocation(&self) -> RevocationClaim {
        if self.sent.swap(true, Ordering::SeqCst) {
            RevocationClaim::Lost
        } else {
            RevocationClaim::Won
        }
    }

    /// Marks the revocation as acknowledged: the answer to a request that is sent from now on must
    /// be "revoked".
    pub fn acknowledge_revocation(&self) {
        self.acknowledged.store(true, Ordering::SeqCst);
    }

    /// The state of the key for a request that is sent now.
    #[must_use]
    pub fn snapshot(self: &Arc<Self>) -> KeySnapshot {
        KeySnapshot {
            must_be_revoked: self.acknowledged.load(Ordering::SeqCst),
            key: Arc::clone(self),
        }
    }
}

/// The party that may send the revocation of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationClaim {
    /// The caller.
    Won,
    /// Another caller has claimed it before.
    Lost,
}

/// The state of a key when its verification was sent.
#[derive(Clone, Debug)]
pub struct KeySnapshot {
    key: Arc<ChangingKey>,
    must_be_revoked: bool,
}

/// The state that an answer reports for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is valid.
    Valid,
    /// It is revoked.
    Revoked,
    /// Anything else.
    Other,
}

impl KeySnapshot {
    /// Whether an answer that is complete now may report this state.
    #[must_use]
    pub fn allows(&self, state: KeyState) -> bool {
        match state {
            KeyState::Valid => !self.must_be_revoked,
            KeyState::Revoked => self.key.sent.load(Ordering::SeqCst),
            KeyState::Other => false,
        }
    }
}

/// Keys kept at a time. Some of them are revoked, so that revoked keys are requested, too.
pub const PLACES: usize = 256;

/// The keys that may be requested now.
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

    /// Adds a key. It takes an empty place, else the place of a key whose revocation was
    /// acknowledged, else a random one.
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

    /// A random key. `None` while there is none.
    pub fn any(&self, random: &mut Random) -> Option<Arc<ChangingKey>> {
        let start = random_place(random);
        (start..PLACES)
            .chain(0..start)
            .find_map(|place| self.at(place))
    }

    /// Claims a random key for revocation. Each key is returned to one caller only.
    pub fn take_for_revocation(&self, random: &mut Random) -> Option<Arc<ChangingKey>> {
        let start = random_place(random);
        (start..PLACES).chain(0..start).find_map(|place| {
            self.at(place)
                .filter(|key| key.claim_revocation() == RevocationClaim::Won)
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
        let before = key.snapshot();
        assert!(before.allows(KeyState::Valid) && !before.allows(KeyState::Revoked));
        assert_eq!(key.claim_revocation(), RevocationClaim::Won);
        assert_eq!(key.claim_revocation(), RevocationClaim::Lost);
        let between = key.snapshot();
        for snapshot in [&before, &between] {
            assert!(snapshot.allows(KeyState::Valid) && snapshot.allows(KeyState::Revoked));
        }
        key.acknowledge_revocation();
        // These requests were sent before the acknowledgement, so the server may have answered
        // before the revocation.
        for snapshot in [&before, &between] {
            assert!(snapshot.allows(KeyState::Valid) && snapshot.allows(KeyState::Revoked));
        }
        let after = key.snapshot();
        assert!(!after.allows(KeyState::Valid) && after.allows(KeyState::Revoked));
        assert!(!before.allows(KeyState::Other) && !after.allows(KeyState::Other));
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
        revoked.acknowledge_revocation();
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
