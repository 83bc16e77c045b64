//! Where the memory behind an entry was last seen, so that it is on its way before it is asked for.
//!
//! A look-up among millions of keys costs as many waits for memory as there are pointers to follow one after the other. Who
//! has noted where the chain ended the last time waits once for all of it. What is noted are hints: nothing is ever read
//! through them, so an outdated one costs a useless fetch and nothing else.

use crate::sync::{AtomicUsize, Ordering};

/// How many places are noted for one entry.
pub(crate) const PLACES: usize = 3;
const LINE_BYTES: usize = 64;
/// Lines that are fetched of one place: more than this come by themselves, because the processor sees them read in a value.
const LINES_MAX: usize = 4;

/// The bytes behind an entry that are asked for, by place. 0 = the place is not used.
pub type PrefetchSizes = [usize; PLACES];

/// Places in memory.
#[derive(Debug, Default)]
pub struct PrefetchHints([AtomicUsize; PLACES]);

impl PrefetchHints {
    /// Starts to fetch what was noted.
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
            // Store only what changes: readers on other cores keep their copy of the line.
            if place.load(Ordering::Relaxed) != address {
                place.store(address, Ordering::Relaxed);
            }
        }
    }
}

/// Starts to fetch `value`, all of its lines.
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
    // SAFETY: a prefetch reads nothing as far as the program can tell, and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line) }
}

/// Other processors have to find out by themselves.
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
