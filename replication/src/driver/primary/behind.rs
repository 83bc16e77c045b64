//! For how long a replica has been behind.

use std::collections::VecDeque;

use crate::position::Sequence;

/// Heads that are remembered until the replica has them.
const MARKS: usize = 64;

/// When the changes that a replica lacks became durable with the primary.
#[derive(Debug, Default)]
pub(super) struct Behind {
    durable: Sequence,
    /// Heads in their order, and when each was heard of first.
    marks: VecDeque<(Sequence, u64)>,
}

impl Behind {
    /// Takes notice of the primary's last change.
    pub(super) fn on_head(&mut self, now_ms: u64, head: Sequence) {
        let newest = self.marks.back().map_or(self.durable, |(known, _)| *known);
        if head <= newest {
            return;
        }
        if self.marks.len() < MARKS {
            self.marks.push_back((head, now_ms));
        } else if let Some((known, _)) = self.marks.back_mut() {
            // With the age of the one that stands there: rather too long than too short.
            *known = head;
        }
    }

    /// Takes notice of the replica's last change.
    pub(super) fn on_durable(&mut self, durable: Sequence) {
        self.durable = durable;
        while self.marks.front().is_some_and(|(head, _)| *head <= durable) {
            self.marks.pop_front();
        }
    }

    /// Since when there is something that the replica lacks.
    pub(super) fn since_ms(&self) -> Option<u64> {
        self.marks.front().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_missing_head_counts() {
        let mut behind = Behind::default();
        behind.on_durable(Sequence(5));
        behind.on_head(10, Sequence(5));
        assert_eq!(behind.since_ms(), None);
        behind.on_head(20, Sequence(7));
        behind.on_head(30, Sequence(7));
        behind.on_head(40, Sequence(9));
        assert_eq!(behind.since_ms(), Some(20));
        behind.on_durable(Sequence(8));
        assert_eq!(behind.since_ms(), Some(40));
        behind.on_durable(Sequence(9));
        assert_eq!(behind.since_ms(), None);
    }

    #[test]
    fn heads_that_find_no_place_make_it_look_older() {
        let mut behind = Behind::default();
        let heads = MARKS as u64 + 10;
        for head in 1..=heads {
            behind.on_head(head * 10, Sequence(head));
        }
        assert_eq!(behind.marks.len(), MARKS);
        behind.on_durable(Sequence(heads - 1));
        assert_eq!(behind.since_ms(), Some(MARKS as u64 * 10));
        behind.on_durable(Sequence(heads));
        assert_eq!(behind.since_ms(), None);
    }
}
