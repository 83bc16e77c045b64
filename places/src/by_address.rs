//! Keys grouped by address. The address that has the most of them is found in logarithmic time, so
//! that a flood of connections costs little each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A set of keys of addresses. No two addresses have the same key.
#[derive(Debug)]
pub(crate) struct ByAddress<K> {
    keys: BTreeMap<IpAddr, BTreeSet<K>>,
    /// Each address once: those with the most keys first, of these the one with the lowest key.
    order: BTreeSet<(Reverse<usize>, K, IpAddr)>,
    all: usize,
}

impl<K> Default for ByAddress<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            order: BTreeSet::new(),
            all: 0,
        }
    }
}

impl<K: Copy + Ord> ByAddress<K> {
    /// The number of all keys.
    pub(crate) fn len(&self) -> usize {
        self.all
    }

    /// The number of keys of an address.
    pub(crate) fn count(&self, address: IpAddr) -> usize {
        self.keys.get(&address).map_or(0, BTreeSet::len)
    }

    /// The lowest key of an address.
    pub(crate) fn lowest(&self, address: IpAddr) -> Option<K> {
        self.keys.get(&address)?.first().copied()
    }

    /// The lowest key of the address that has the most. Of several such addresses it is the lowest
    /// key of all of them.
    pub(crate) fn lowest_of_busiest(&self) -> Option<K> {
        self.order.first().map(|(_, key, _)| *key)
    }

    /// Adds a key.
    pub(crate) fn insert(&mut self, address: IpAddr, key: K) {
        self.change(address, |keys| keys.insert(key));
        self.all += 1;
    }

    /// Removes a key that was inserted with this address.
    pub(crate) fn remove(&mut self, address: IpAddr, key: K) {
        self.change(address, |keys| keys.remove(&key));
        self.all -= 1;
    }

    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut BTreeSet<K>) -> bool) {
        let keys = self.keys.entry(address).or_default();
        if let Some(lowest) = keys.first() {
            self.order.remove(&(Reverse(keys.len()), *lowest, address));
        }
        change(keys);
        match keys.first() {
            Some(lowest) => {
                self.order.insert((Reverse(keys.len()), *lowest, address));
            }
            None => {
                self.keys.remove(&address);
            }
        }
    }
}
