//! Storage of records and changes.
//!
//! The rest of the engine uses two small traits: [`RecordReader`] reads records, [`Journal`] makes
//! groups of changes durable. RocksDB implements both today. A shared database could implement
//! [`Journal`], with RocksDB as each node's local copy behind [`RecordReader`].

mod directory;
mod error;
mod format;
mod index;
mod journal;
mod private;
mod record_reader;
mod retention;
mod rocks;
mod witness;

pub use directory::{FORMAT, RESTORE_MARK, format_of, refuse_unfinished_restore};
pub use error::StorageError;
pub use format::change::decode as decode_change;
pub use format::request::RequestEntry;
pub use index::moved;
pub use journal::{Group, Journal, MembershipWrite, ReopenError, Reopened};
#[cfg(test)]
pub use record_reader::ScanPage;
pub use record_reader::{InMemory, RecordReader};
pub use retention::Retention;
#[cfg(test)]
pub use rocks::{COUNTS, INDEX, OpenStore};
pub use rocks::{
    Database, OldLog, OldLogError, Opened, StorageSizes, StorageUse, TableMemory, Wanted,
    count_row, open,
};
