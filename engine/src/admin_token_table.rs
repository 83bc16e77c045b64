//! The admin tokens that are in force, for readers on any thread.
//!
//! Guarantees: a reader takes no lock and never waits. What it finds is durable, and newer changes
//! are only acknowledged once every later reader finds them. While a full copy is incomplete there
//! are no tokens, because the node cannot know which of them were revoked.

use std::sync::Arc;

use talos_cells::{Reading, Swap, pin};
use talos_model::{AdminTokens, Change, Subject};

/// The admin tokens in force. After the start only the committing thread changes them.
#[derive(Debug)]
pub struct AdminTokenTable(Swap<Arc<AdminTokens>>);

impl AdminTokenTable {
    /// A table of these tokens.
    pub fn new(tokens: AdminTokens) -> Self {
        Self(Swap::new(Arc::new(tokens)))
    }

    /// The tokens in force.
    #[inline]
    pub fn read(&self) -> Reading<'_, Arc<AdminTokens>> {
        self.0.read()
    }

    /// Publishes a durable change of a token; ignores changes of anything else.
    pub fn publish(&self, change: &Change) {
        let Subject::AdminToken(token) = &change.subject else {
            return;
        };
        let before = Arc::clone(&self.read());
        self.replace(if change.deletes() {
            before.without(token.id)
        } else {
            before.with(token.clone())
        });
    }

    /// Replaces all tokens.
    pub fn replace(&self, tokens: AdminTokens) {
        self.0.store(Arc::new(tokens), &pin());
    }
}
