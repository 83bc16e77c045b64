//! The result of looking up a record in memory.

use std::sync::Arc;

use talos_model::Record;

use super::step::ReadRequest;
use crate::cache::KeyCell;
use crate::storage::InMemory;

/// Where the record of a key was found.
pub enum Found {
    /// In a cell, with a fresh cached key.
    InCell(Arc<KeyCell>),
    /// In RocksDB's memory; `None` = the key does not exist.
    Record(Option<Box<Record>>, ReadRequest),
    /// Only on disk, if it exists.
    OnDisk(ReadRequest),
}

impl Found {
    /// What RocksDB has in memory, for the record of `request`.
    pub fn new(in_memory: InMemory, request: ReadRequest) -> Self {
        match in_memory {
            InMemory::Found(record) => Self::Record(Some(record), request),
            InMemory::Absent => Self::Record(None, request),
            InMemory::Unknown => Self::OnDisk(request),
        }
    }
}
