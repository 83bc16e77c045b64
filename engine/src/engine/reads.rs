//! Reads of keys for the control plane, on disk threads of their own.

use std::sync::Arc;

use talos_model::clock::UnixMillis;
use talos_model::{KeyId, ListQuery, Page, ReadError, Record, RecordKey, TenantId};

use super::{Engine, read_error};
use crate::disk::Admission;

impl Engine {
    /// Reads a page of keys on a disk thread. `done` is called exactly once.
    pub fn list(
        &self,
        query: ListQuery,
        done: impl FnOnce(Result<Page, ReadError>) + Send + 'static,
    ) {
        let (verifier, last_used) = (Arc::clone(&self.verifier), Arc::clone(&self.last_used));
        self.admin_disk.submit(Box::new(move |admission| {
            let list = || {
                let mut page = verifier.page(&query)?;
                page.last_used = last_used.of(&page.records)?;
                Ok(page)
            };
            done(match admission {
                Admission::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Admission::Run => list().map_err(read_error),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }

    /// Reads one record from storage on a disk thread. `done` is called exactly once.
    pub fn get(
        &self,
        tenant: TenantId,
        key_id: KeyId,
        done: impl FnOnce(Result<Option<Record>, ReadError>) + Send + 'static,
    ) {
        let verifier = Arc::clone(&self.verifier);
        self.admin_disk.submit(Box::new(move |admission| {
            done(match admission {
                Admission::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Admission::Run => verifier
                    .record(&RecordKey::new(tenant, key_id))
                    .map_err(read_error),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }

    /// Reads on a disk thread when the key of `record` was last used. `done` is called exactly
    /// once. The time may be outdated by up to the flush interval of last uses.
    pub fn last_used(
        &self,
        record: Record,
        done: impl FnOnce(Result<Option<UnixMillis>, ReadError>) + Send + 'static,
    ) {
        let last_used = Arc::clone(&self.last_used);
        self.admin_disk.submit(Box::new(move |admission| {
            done(match admission {
                Admission::Run => last_used
                    .of(&[record])
                    .map(|times| times.into_iter().flatten().next())
                    .map_err(read_error),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }
}
