//! The connections of a core: which of them end when places or memory are scarce.
//!
//! Guarantees: a connection that waits for another thread is never ended for a new one; of those
//! that wait for their clients, the ones that never had an answer end first, and of these the ones
//! from the address that has most; so who opens many connections displaces its own.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::rc::Rc;

use talos_config::TrustedProxies;

use crate::addresses::{Addresses, CountedAddress};
use crate::deadlines::{CoarseMillis, Phase, Place, Pressure, Slot};
use crate::limits;
use crate::memory::Budget;
use crate::metrics::Timeouts;

/// The slots of all connections of a core.
#[derive(Debug)]
pub(crate) struct Registry {
    slots: RefCell<Vec<Rc<Slot>>>,
    /// How many of them have a reserved place.
    reserved: Cell<usize>,
    addresses: Rc<Addresses>,
    memory: Budget,
}

/// Where a new connection comes from, and which place it gets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// The address of the client; `None` over a Unix socket.
    pub peer: Option<IpAddr>,
    /// The place that the connection gets.
    pub place: Place,
}

impl Registry {
    /// A registry whose connections may hold this much memory, in bytes. The connections of one
    /// address of `proxies` are not added up.
    pub(crate) fn new(memory: usize, proxies: TrustedProxies) -> Self {
        Self {
            slots: RefCell::default(),
            reserved: Cell::new(0),
            addresses: Rc::new(Addresses::new(proxies)),
            memory: Budget::new(memory),
        }
    }

    /// Changes how much memory the connections may hold, in bytes.
    pub(crate) fn set_memory(&self, memory: usize) {
        self.memory.set_limit(memory);
    }

    /// Changes whose connections are not added up. Open connections count as before.
    pub(crate) fn set_proxies(&self, proxies: TrustedProxies) {
        self.addresses.set_proxies(proxies);
    }

    /// Ends connections that wait for their clients, those first whose address has most, and of
    /// these those that have waited longest: up to `count` that never had an answer, or else one
    /// that had. Returns how many.
    pub(crate) fn make_places(&self, count: usize, now: CoarseMillis) -> usize {
        let slots = self.slots.borrow();
        let (proven, mut strangers): (Vec<_>, Vec<_>) = slots
            .iter()
            .filter(|slot| slot.place() == Place::Regular && slot.may_lose_place())
            .partition(|slot| slot.is_proven());
        let waits = |slot: &&Rc<Slot>, least| now >= slot.since().plus(least);
        if strangers.is_empty() {
            let longest = proven
                .into_iter()
                .filter(|slot| waits(slot, limits::STALLED))
                .min_by_key(|slot| (Reverse(slot.share()), slot.since()));
            return longest.map_or(0, |slot| {
                slot.lose_place();
                1
            });
        }
        // Those that are about to have waited long enough are ranked as well. Otherwise one that
        // came a little earlier would give way to an address that has many more.
        let is_slow =
            |slot: &Slot| matches!(slot.phase(), Phase::Body | Phase::Write | Phase::SendChunk);
        strangers.retain(|slot| !is_slow(slot) || waits(slot, limits::STALLED));
        let candidates = fairest_first(strangers).into_iter().take(count);
        let overdue = candidates.filter(|slot| is_slow(slot) || waits(slot, limits::STRANGER));
        overdue.map(|slot| slot.lose_place()).count()
    }

    /// Ends a connection that holds a reserved place and has not asked for anything within a tick:
    /// one of the address that has most, and of these the oldest. Returns whether there was one.
    pub(crate) fn make_reserved_place(&self, now: CoarseMillis) -> bool {
        let slots = self.slots.borrow();
        let longest = slots
            .iter()
            .filter(|slot| slot.place() == Place::Reserved && slot.may_lose_place())
            .filter(|slot| now >= slot.since().plus(limits::TICK))
            .min_by_key(|slot| (Reverse(slot.share()), slot.since()));
        longest.inspect(|slot| slot.lose_place()).is_some()
    }

    /// Ends connections that have waited for their clients, those that hold most first, until they
    /// free `lack` bytes of the budget. Returns false and ends none when they hold less.
    fn free(&self, mut lack: usize, now: CoarseMillis) -> bool {
        let slots = self.slots.borrow();
        let mut stalled: Vec<_> = slots
            .iter()
            .filter(|slot| slot.may_lose_memory(now))
            .collect();
        let held: usize = stalled.iter().map(|slot| slot.held.get()).sum();
        if held < lack {
            return false;
        }
        stalled.sort_unstable_by_key(|slot| Reverse(slot.held.get()));
        for slot in stalled {
            if lack == 0 {
                break;
            }
            // Its task runs soon and frees the memory.
            slot.lose_memory();
            let freed = slot.held.replace(0);
            self.memory.exchange(freed, 0);
            lack = lack.saturating_sub(freed);
        }
        true
    }

    /// The memory that the connections hold.
    pub(crate) fn memory(&self) -> &Budget {
        &self.memory
    }

    /// Registers a connection over `fd`, which must stay open until the [`Registered`] is dropped.
    pub(crate) fn register(
        self: &Rc<Self>,
        fd: RawFd,
        arrival: Arrival,
        phase: Phase,
        now: CoarseMillis,
        deadline: CoarseMillis,
    ) -> Registered {
        let address = arrival.peer.map(|peer| self.addresses.count(peer));
        let mut slots = self.slots.borrow_mut();
        let slot = Rc::new(Slot::new(fd, address, arrival.place, phase, now, deadline));
        slot.at.set(slots.len());
        slots.push(Rc::clone(&slot));
        drop(slots);
        if arrival.place == Place::Reserved {
            self.reserved.set(self.reserved.get() + 1);
        }
        Registered {
            slot,
            registry: Rc::clone(self),
        }
    }

    /// The number of open connections.
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// The number of connections without those that have a reserved place.
    pub(crate) fn regular(&self) -> usize {
        self.len().saturating_sub(self.reserved())
    }

    /// The number of connections that have a reserved place.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// The number of connections of this client; 0 for a proxy and over a Unix socket.
    pub(crate) fn opened_by(&self, peer: Option<IpAddr>) -> usize {
        peer.map_or(0, |address| self.addresses.opened_by(address))
    }

    /// Checks every connection once. This polls no connection, so the slots do not change during
    /// the loop.
    pub(crate) fn tick(&self, now: CoarseMillis, pressure: Pressure, timeouts: &Timeouts) {
        for slot in self.slots.borrow().iter() {
            slot.tick(now, pressure, timeouts);
        }
    }
}

/// Sorts connections so that ending them one after the other takes each time one of the address
/// that then has most, and of its connections the one that has waited longest.
fn fairest_first(mut slots: Vec<&Rc<Slot>>) -> Vec<&Rc<Slot>> {
    slots.sort_unstable_by_key(|slot| slot.since());
    let addresses = slots.iter().filter_map(|slot| slot.address());
    addresses.for_each(CountedAddress::begin_ranking);
    let rank = |slot: &Rc<Slot>| slot.address().map_or(1, CountedAddress::take_rank);
    let mut ranked: Vec<_> = slots.into_iter().map(|slot| (rank(slot), slot)).collect();
    // Stable: among equals the order of waiting remains.
    ranked.sort_by_key(|(rank, _)| Reverse(*rank));
    ranked.into_iter().map(|(_, slot)| slot).collect()
}

/// A connection's entry in the registry, removed on drop. The owner must drop it before the socket.
#[derive(Debug)]
pub(crate) struct Registered {
    slot: Rc<Slot>,
    registry: Rc<Registry>,
}

impl Registered {
    /// Counts `bytes` as the memory that the connection holds. If the budget has no room, stalled
    /// connections are ended. Returns false and changes nothing when that is not enough.
    pub(crate) fn hold(&self, bytes: usize, now: CoarseMillis) -> bool {
        let before = self.slot.held.get();
        let lack = self.registry.memory.lack(before, bytes);
        if lack > 0 {
            // A connection does not end itself.
            self.slot.restart(now);
            if !self.registry.free(lack, now) {
                return false;
            }
        }
        self.hold_anyway(bytes);
        true
    }

    /// Counts `bytes` as the memory that the connection holds, even beyond the budget. For memory
    /// that exists already.
    pub(crate) fn hold_anyway(&self, bytes: usize) {
        let before = self.slot.held.replace(bytes);
        self.registry.memory.exchange(before, bytes);
    }

    /// Moves the connection from its reserved place to a regular one.
    pub(crate) fn leave_reserve(&self) {
        if self.slot.place() == Place::Reserved {
            self.slot.set_place(Place::Regular);
            let reserved = &self.registry.reserved;
            reserved.set(reserved.get().saturating_sub(1));
        }
    }
}

impl std::ops::Deref for Registered {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.hold_anyway(0);
        self.leave_reserve();
        let mut slots = self.registry.slots.borrow_mut();
        let at = self.slot.at.get();
        slots.swap_remove(at);
        if let Some(moved) = slots.get(at) {
            moved.at.set(at);
        }
    }
}

#[cfg(test)]
mod tests;
