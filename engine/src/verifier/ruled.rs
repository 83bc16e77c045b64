//! Rules, and records as they make them.
//!
//! Whoever reads takes the rules first: a rule that is in force when somebody asks is then among them.

use std::sync::Arc;

use talos_cells::pin;
use talos_model::{Event, ListQuery, Page, Record, RecordKey, Rule, Rules, Selection, Status};

use super::Verifier;
use crate::limits::LIST_RANGES;
use crate::row::Current;
use crate::storage::{StorageError, moved};

impl Verifier {
    /// The rules in force at this moment.
    pub fn rules(&self) -> Rules {
        self.current.load(&pin()).rules.clone()
    }

    /// A rule is durable, or no longer needed. When this returns, nobody is answered without it.
    pub(super) fn publish_rule(&self, event: Event, rule: &Rule) {
        self.change(|current| Current {
            generation: current.generation,
            rules: match event {
                Event::RuleCompleted => current.rules.without(rule),
                _ => current.rules.with(rule.clone()),
            },
            keyring: Arc::clone(&current.keyring),
        });
    }

    /// A history begins with these rules: those of another one say nothing about it, nor does how far they had come.
    pub fn begin_rules(&self, rules: Rules) {
        self.change(|current| Current {
            generation: current.generation + 1,
            rules,
            keyring: Arc::clone(&current.keyring),
        });
    }

    /// The record of a key. May wait for the disk.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let rules = self.rules();
        let record = self.rows.read(key)?;
        Ok(record.map(|record| rules.apply(record)))
    }

    /// A page of keys. May wait for the disk. While rules are in force, a page may be shorter than it could be.
    pub fn page(&self, query: &ListQuery) -> Result<Page, StorageError> {
        let rules = self.rules();
        let selection = &query.selection;
        if !rules.concern_tenant(selection.tenant) {
            return self.rows.list(query);
        }
        let wanted = selection.status;
        if wanted != Some(Status::Revoked) {
            return self.remaining(query.clone(), wanted, &rules);
        }
        // Those that have ended, but whose records have not followed, stand among the others in the index. All keys and the
        // revoked ones are in one order, so that a page of either goes on where one of the other has ended.
        let all = Selection {
            status: None,
            ..selection.clone()
        };
        let place = |entry: &[u8], from, to| moved(entry, from, to).unwrap_or_default();
        let of_all = ListQuery {
            after: place(&query.after, selection, &all),
            selection: all.clone(),
            ..query.clone()
        };
        let mut page = self.remaining(of_all, wanted, &rules)?;
        page.next = page.next.map(|next| place(&next, &all, selection));
        Ok(page)
    }

    /// Of a selection, the keys that are in it as rules make them.
    fn remaining(
        &self,
        mut query: ListQuery,
        wanted: Option<Status>,
        rules: &Rules,
    ) -> Result<Page, StorageError> {
        let limit = query.limit;
        let is_wanted = |record: &Record| match wanted {
            None => true,
            Some(Status::Revoked) => record.revocation.is_some(),
            Some(Status::Active | Status::Expired) => record.revocation.is_none(),
        };
        let mut records = Vec::new();
        for _ in 0..LIST_RANGES {
            let range = self.rows.list(&query)?;
            let is_cut = range.records.len() < query.limit;
            let applied = range.records.into_iter().map(|record| rules.apply(record));
            records.extend(applied.filter(is_wanted));
            query.limit = limit.saturating_sub(records.len());
            query.after = range.next.unwrap_or_default();
            if query.after.is_empty() || query.limit == 0 || is_cut {
                break;
            }
        }
        Ok(Page {
            records,
            next: Some(query.after).filter(|next| !next.is_empty()),
            last_used: Vec::new(),
        })
    }
}
