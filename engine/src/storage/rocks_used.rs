//! When keys were last used: a column family of its own, since it is neither part of a record nor of any change.

use rocksdb::{ReadOptions, WriteBatch};

use super::rocks::{RocksStore, USED};
use super::{RecordKey, Rows, StorageError};
use crate::clock::UnixMillis;

impl RocksStore {
    /// When the key was last used, as far as that was written. May wait for the disk.
    pub fn last_used(&self, key: &RecordKey) -> Result<Option<UnixMillis>, StorageError> {
        let bytes = self.db.get_pinned_cf(self.family(USED)?, key.as_bytes())?;
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    /// When each of the keys was last used, as far as that was written. May wait for the disk.
    pub fn last_uses(&self, keys: &[RecordKey]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        let (family, options) = (self.family(USED)?, ReadOptions::default());
        let mut found = self.values(family, keys.iter().enumerate(), &options)?;
        found.sort_unstable_by_key(|(place, ..)| *place);
        let times = found
            .into_iter()
            .map(|(_, _, bytes)| bytes.map(|bytes| decode(&bytes)).transpose());
        times.collect()
    }

    /// Notes uses in one write, which is not synced; a use that is older than the one noted is left out. Returns how many were
    /// noted. Calls must not overlap.
    pub fn note_uses(&self, uses: &[(RecordKey, UnixMillis)]) -> Result<usize, StorageError> {
        let family = self.family(USED)?;
        let mut batch = WriteBatch::default();
        for (key, time) in uses {
            if self.last_used(key)?.is_none_or(|noted| noted < *time) {
                batch.put_cf(family, key.as_bytes(), time.0.to_le_bytes());
            }
        }
        let noted = batch.len();
        if noted > 0 {
            self.db.write(batch)?;
        }
        // Looked at afterwards, so that a deletion is met that came between: it either took the note along or is seen here.
        for (key, _) in uses {
            if self.read(key)?.is_none() {
                self.db.delete_cf(family, key.as_bytes())?;
            }
        }
        Ok(noted)
    }
}

fn decode(bytes: &[u8]) -> Result<UnixMillis, StorageError> {
    let millis = bytes.try_into();
    let millis = millis.map_err(|_| StorageError::Corrupt("the time of a key's last use"))?;
    Ok(UnixMillis(i64::from_le_bytes(millis)))
}
