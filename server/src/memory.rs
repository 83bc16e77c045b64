//! The memory that the connections of one core hold beyond their first buffers, and its bound.
//!
//! Guarantee: what connections hold beyond [`limits::BUFFER_KEPT_BYTES`] each stays within the
//! bound. A further quarter is for connections that hold less, so that large requests leave room
//! for small ones.

use std::cell::Cell;

use crate::limits;

/// The memory of one core's connections. Counts the capacity of buffers, not their contents.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The bound, in bytes.
    limit: Cell<usize>,
    held: Cell<usize>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: Cell::new(limit),
            held: Cell::new(0),
        }
    }

    /// Changes the bound. Connections that hold more keep it until they hold less.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// The number of bytes held now.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// How many bytes are missing for a connection that holds `before` to hold `after`. Less is
    /// always granted.
    pub(crate) fn lack(&self, before: usize, after: usize) -> usize {
        if after <= before {
            return 0;
        }
        let reserve = if after <= limits::BUFFER_KEPT_BYTES {
            self.limit.get() / 4
        } else {
            0
        };
        let total = (self.held.get() - before).saturating_add(after);
        total.saturating_sub(self.limit.get().saturating_add(reserve))
    }

    /// Notes that a connection which held `before` holds `after`.
    pub(crate) fn exchange(&self, before: usize, after: usize) {
        let others = self.held.get().saturating_sub(before);
        self.held.set(others.saturating_add(after));
    }

    /// Whether connections may keep buffers for their next requests.
    pub(crate) fn is_half_free(&self) -> bool {
        self.held.get() < self.limit.get() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = limits::BUFFER_KEPT_BYTES + 1;

    #[test]
    fn the_last_quarter_is_for_small_requests() {
        let budget = Budget::new(4 * LARGE);
        assert_eq!(budget.lack(0, 4 * LARGE), 0);
        budget.exchange(0, 4 * LARGE);
        assert_eq!(budget.lack(0, LARGE), LARGE);
        assert_eq!(budget.lack(0, LARGE - 1), 0);
        budget.exchange(0, LARGE - 1);
        assert_eq!(budget.lack(0, LARGE - 1), LARGE - 2);
        // Less is always granted.
        assert_eq!(budget.lack(4 * LARGE, 3 * LARGE), 0);
        budget.exchange(4 * LARGE, 0);
        assert!(budget.is_half_free());
        assert_eq!(budget.held(), LARGE - 1);
    }
}
