//! Storage in RocksDB. Each shard's records have a column family. The change log, the index,
//! request ids, times of last use, counts, and facts about the database have one each.

mod aside;
mod batch;
mod copy;
mod families;
mod journal;
mod list;
#[cfg(test)]
mod list_steps;
mod log;
mod made_keys;
mod meta;
mod old_log;
mod open;
mod options;
mod reader;
mod recovery;
mod scan;
mod store;
mod trim;
mod used;
mod view;

pub use copy::count_row;
#[cfg(test)]
pub use families::{COUNTS, INDEX};
pub use old_log::{OldLog, OldLogError};
pub use open::{Opened, Wanted, open};
pub use store::RocksStore;
