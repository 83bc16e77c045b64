//! Where records and changes live.
//!
//! The rest of the engine reaches storage through two small traits: [`Rows`] reads records, [`Journal`] makes groups of
//! changes durable. RocksDB stands behind both today; a shared database can stand behind the second one with RocksDB as
//! each node's copy behind the first.

mod directory;
mod error;
mod format;
mod index;
mod journal;
mod retention;
mod rocks;
mod rows;
mod witness;

pub use directory::{FORMAT, format_of};
pub use error::StorageError;
pub use format::change::decode as decode_change;
pub use index::moved;
pub use journal::{Group, Journal, Step};
pub use retention::Retention;
#[cfg(test)]
pub use rocks::{COUNTS, INDEX};
pub use rocks::{OldLog, OldLogError, Opened, RocksStore, Wanted, count_row, open};
pub use rows::{InMemory, Rows};
