//! Compares every tenant with the model.

use std::collections::{BTreeMap, BTreeSet};

use talos_model::{KeyKind, ListQuery, Selection};

use super::model::Key;
use super::*;
use crate::scenarios::lists::page;
use crate::scenarios::many::verify_all;
use crate::storage::RecordReader;

impl History {
    /// Waits until the records of all bulk revocations are rewritten.
    pub(super) fn settle(&self) {
        while self.engine().bulk_revocations_in_force() > 0 {
            std::thread::yield_now();
        }
    }

    pub(super) fn check(&mut self) {
        self.check_verdicts();
        let engine = self.engine();
        for n in 0..3 {
            let owner = &self.owners[n];
            let limit = self.random.one_of(&[1, 3, 1000]);
            let mut found = BTreeMap::new();
            for kind in [KeyKind::Issued, KeyKind::Imported] {
                list(&engine, owner.id, kind, limit, Vec::new(), &mut found);
            }
            assert_eq!(found, owner.keys, "the list of {}", owner.id);
        }
        self.check_foreign_places();
        self.settle();
        for owner in &self.owners {
            let count = engine.store().live_keys(owner.id).expect("a count");
            assert_eq!(count, owner.live_keys(), "live keys of {}", owner.id);
        }
        let ids = self.owners.iter().flat_map(|owner| owner.keys.keys());
        let ids: BTreeSet<_> = ids.copied().collect();
        let key_id = match self.random.below(4) {
            0 if !ids.is_empty() => self.random.one_of(&Vec::from_iter(ids)),
            _ => return,
        };
        for n in 0..3 {
            let found = self.record(n, key_id);
            let found = found.as_ref().map(Key::from);
            assert_eq!(found.as_ref(), self.owners[n].keys.get(&key_id));
        }
    }

    /// Verifies all credentials in all tenants, one by one or in one batch of all tenants.
    fn check_verdicts(&mut self) {
        let mode = self.random.one_of(&[
            CacheMode::Use,
            CacheMode::Use,
            CacheMode::Refresh,
            CacheMode::Bypass,
        ]);
        let mut pairs = Vec::new();
        for held in &self.held {
            // Signatures of tokens are slow to check.
            if matches!(held.kind, Kind::Token(..)) && !self.random.once_in(4) {
                continue;
            }
            pairs.extend(self.owners.iter().map(|owner| (owner, held)));
        }
        let queries: Vec<_> = pairs
            .iter()
            .map(|(owner, held)| Query {
                tenant: owner.id,
                ..query(&held.text, mode)
            })
            .collect();
        let engine = self.engine();
        let verdicts = if self.random.once_in(2) {
            verify_all(&engine, &queries)
        } else {
            let each = queries.iter().map(|query| verify_query(&engine, query));
            each.collect()
        };
        assert_eq!(verdicts.len(), pairs.len());
        for ((owner, held), (found, _)) in pairs.into_iter().zip(verdicts) {
            match owner.verdict(held) {
                Some(expected) => assert_eq!(found, expected, "{held:?} in {}", owner.id),
                None => assert!(
                    matches!(
                        found,
                        OwnedVerdict::Refused(
                            Refusal::NotFound | Refusal::SignatureInvalid | Refusal::InvalidFormat
                        )
                    ),
                    "{found:?}: {held:?} in {}",
                    owner.id
                ),
            }
        }
    }

    /// A list that continues where the list of another tenant ended shows no key of the other.
    fn check_foreign_places(&mut self) {
        let engine = self.engine();
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let query = list_query(self.owners[from].id, KeyKind::Issued, 1, Vec::new());
            if let Some(next) = page(&engine, query).next {
                let (mut found, owner) = (BTreeMap::new(), &self.owners[to]);
                list(&engine, owner.id, KeyKind::Issued, 1000, next, &mut found);
                for (key_id, key) in found {
                    assert_eq!(owner.keys.get(&key_id), Some(&key), "in {}", owner.id);
                }
            }
        }
    }

    /// The record of a key in a tenant.
    pub(super) fn record(&self, n: usize, key_id: KeyId) -> Option<Record> {
        let (sender, receiver) = channel();
        self.engine().get(self.owners[n].id, key_id, move |record| {
            sender.send(record).expect("a receiver");
        });
        let answer = receiver.recv().expect("an answer");
        answer.expect("a readable record")
    }
}

fn list_query(tenant: TenantId, kind: KeyKind, limit: usize, after: Vec<u8>) -> ListQuery {
    ListQuery {
        selection: Selection {
            tenant,
            kind,
            actor_id: None,
            status: None,
        },
        after,
        limit,
        now: clock::now(),
    }
}

/// Adds all keys of a list from `after` on to `found`.
fn list(
    engine: &Engine,
    tenant: TenantId,
    kind: KeyKind,
    limit: usize,
    mut after: Vec<u8>,
    found: &mut BTreeMap<KeyId, Key>,
) {
    loop {
        let page = page(engine, list_query(tenant, kind, limit, after));
        for record in page.records {
            assert_eq!(record.tenant, tenant);
            let before = found.insert(record.key_id, Key::from(&record));
            assert_eq!(before, None, "twice in a list");
        }
        match page.next {
            Some(next) => after = next,
            None => return,
        }
    }
}
