//! Prefetch hints: the addresses that an earlier look-up of an entry led to.
//!
//! A look-up among millions of keys waits for memory once for every pointer of a chain. With the
//! addresses of the whole chain at hand, the processor fetches them at once, and the look-up waits
//! once. The addresses are only hints: no code reads through them, so an outdated one costs one
//! useless fetch.

use crate::sync::{AtomicUsize, Ordering};

/// The number of addresses that are noted for one entry.
pub(crate) const PLACES: usize = 3;
const LINE_BYTES: usize = 64;
/// The most cache lines that are fetched of one address. The processor's own prefetcher loads the
/// lines after these, because it sees a value being read in order.
const LINES_MAX: usize = 4;

/// How many bytes to fetch at each noted address. 0 means that the address is not used.
pub type PrefetchSizes = [usize; PLACES];

/// The noted addresses of one entry. 0 means that none is noted.
#[derive(Debug, Default)]
pub struct PrefetchHints([AtomicUsize; PLACES]);

impl PrefetchHints {
    /// Starts to fetch the noted addresses.
    pub(crate) fn fetch(&self, sizes: PrefetchSizes) {
        for (place, bytes) in self.0.iter().zip(sizes) {
            let address = place.load(Ordering::Relaxed);
            if address != 0 && bytes != 0 {
                fetch_at(address, bytes);
            }
        }
    }

    /// Notes addresses, in the order of the [`PrefetchSizes`].
    pub fn note(&self, addresses: [usize; PLACES]) {
        for (place, address) in self.0.iter().zip(addresses) {
            // Store only a new address: otherwise cores that read the line would lose their copy of
            // it.
            if place.load(Ordering::Relaxed) != address {
                place.store(address, Ordering::Relaxed);
            }
        }
    }
}

/// Starts to fetch the lines of `value`, [`LINES_MAX`] at most.
pub(crate) fn fetch<T>(value: *const T) {
    fetch_at(value.addr(), size_of::<T>());
}

fn fetch_at(address: usize, bytes: usize) {
    let before = address % LINE_BYTES;
    let lines = (before + bytes).div_ceil(LINE_BYTES).min(LINES_MAX);
    for line in 0..lines {
        fetch_line(std::ptr::without_provenance(
            (address - before).wrapping_add(line * LINE_BYTES),
        ));
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line(line: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch has no effect that the program can observe, and never faults, whatever the
    // address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
}

/// No-op on this target.
#[cfg(not(target_arch = "x86_64"))]
fn fetch_line(_line: *const i8) {}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn any_address_can_be_fetched() {
        let prefetch = PrefetchHints::default();
        prefetch.fetch([64; PLACES]);
        for address in [1, 63, 64, 4095, usize::MAX / 2, usize::MAX] {
            prefetch.note([address, address, 0]);
            prefetch.fetch([0, 100_000, 64]);
        }
        fetch(&raw const prefetch);
    }
}
