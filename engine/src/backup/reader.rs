//! Reads a backup and checks everything that its bytes allow to check.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use talos_model::copy::CHANGE_ROWS;
use talos_model::{CopyChunk, CopyCounts, CopyCursor, CopyEnd, Sequence};

use super::format::{self, Body, FRAME_HEAD_BYTES, MAGIC, VERSION};
use super::{BackupError, BackupHead};
use crate::storage::count_row;

/// A backup that was read to its end without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its description.
    pub head: BackupHead,
    /// Its number of entries.
    pub counts: CopyCounts,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Reads a backup from its beginning.
pub struct BackupReader<R> {
    source: R,
    head: BackupHead,
    counts: CopyCounts,
    digest: Sha256,
    bytes: u64,
    last: CopyCursor,
    /// Whether the last rows were read.
    is_complete: bool,
    /// Value of the last row: the last change in the backup.
    last_change: Option<Vec<u8>>,
}

impl<R: Read> BackupReader<R> {
    /// Reads the beginning of the backup.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn open(mut source: R) -> Result<Self, BackupError> {
        let mut preamble = [0; MAGIC.len() + 4];
        let filled = fill(&mut source, &mut preamble)?;
        let (magic, version) = preamble.split_at(MAGIC.len());
        let magic_there = magic.get(..filled.min(MAGIC.len())).unwrap_or_default();
        if filled == 0 || !MAGIC.starts_with(magic_there) {
            return Err(BackupError::Foreign);
        }
        if filled < preamble.len() {
            return Err(BackupError::CutOff {
                after: filled as u64,
            });
        }
        let found = version.try_into().map_or(0, u32::from_le_bytes);
        match found {
            VERSION => {}
            _ if found > VERSION => {
                let supported = VERSION;
                return Err(BackupError::Newer { found, supported });
            }
            _ => return Err(BackupError::Foreign),
        }
        let mut reader = FrameReader {
            source: &mut source,
            digest: Sha256::new_with_prefix(preamble),
            bytes: preamble.len() as u64,
        };
        let (body, digest) = reader.frame()?;
        let Body::Head(head) = body else {
            return Err(reader.damaged("it does not begin with its head"));
        };
        let (digest, bytes) = (digest.after, reader.bytes);
        Ok(Self {
            source,
            head,
            counts: CopyCounts::default(),
            digest,
            bytes,
            last: CopyCursor::default(),
            is_complete: false,
            last_change: None,
        })
    }

    /// Description of the backup.
    pub fn head(&self) -> &BackupHead {
        &self.head
    }

    /// Number of entries that were read so far.
    pub fn counts(&self) -> CopyCounts {
        self.counts
    }

    /// The bytes of the last change in the backup; `None` until it was read, or if there is none.
    pub fn last_change(&self) -> Option<&[u8]> {
        self.last_change.as_deref()
    }

    /// The next rows; `None` at the end of a backup without damage.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn next_rows(&mut self) -> Result<Option<CopyChunk>, BackupError> {
        let mut reader = FrameReader {
            source: &mut self.source,
            digest: self.digest.clone(),
            bytes: self.bytes,
        };
        let (body, digest) = reader.frame()?;
        match body {
            Body::Rows(chunk) if !self.is_complete => {
                self.bytes = reader.bytes;
                self.digest = digest.after;
                self.take(&chunk)?;
                Ok(Some(chunk))
            }
            Body::End(counts, found) if self.is_complete => {
                let is_same = digest.before.finalize().as_slice() == found;
                if !is_same || counts != self.counts {
                    return Err(reader.damaged("its closing sum does not match"));
                }
                if fill(reader.source, &mut [0])? > 0 {
                    return Err(reader.damaged("something follows its end"));
                }
                self.bytes = reader.bytes;
                Ok(None)
            }
            _ => Err(reader.damaged("its parts are out of order")),
        }
    }

    /// Reads the backup to its end.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn check(mut self) -> Result<Checked, BackupError> {
        while self.next_rows()?.is_some() {}
        Ok(self.checked())
    }

    /// Summary of the backup. Call it after [`BackupReader::next_rows`] returned `None`.
    pub fn checked(self) -> Checked {
        Checked {
            head: self.head,
            counts: self.counts,
            bytes: self.bytes,
        }
    }

    fn take(&mut self, chunk: &CopyChunk) -> Result<(), BackupError> {
        let at = self.bytes;
        let damaged = |what: &str| BackupError::Damaged {
            at,
            what: what.to_owned(),
        };
        for row in &chunk.rows {
            let cursor = row.cursor();
            if cursor <= self.last {
                return Err(damaged("its rows are out of order"));
            }
            self.last = cursor;
            count_row(row, &mut self.counts).map_err(|error| damaged(&error.to_string()))?;
            if row.family == CHANGE_ROWS {
                self.last_change = Some(row.value.clone());
            }
        }
        if chunk.end == CopyEnd::Last {
            self.is_complete = true;
            let is_empty = self.head.position.sequence == Sequence(0);
            if self.last_change.is_none() != is_empty {
                return Err(damaged("it lacks its last change"));
            }
        }
        Ok(())
    }
}

/// Reads frames. The caller keeps its digest and length only when the frame is valid.
struct FrameReader<'r, R> {
    source: &'r mut R,
    digest: Sha256,
    bytes: u64,
}

/// The digest of all bytes before a frame, and of all bytes including the frame.
struct Digests {
    before: Sha256,
    after: Sha256,
}

impl<R: Read> FrameReader<'_, R> {
    fn frame(&mut self) -> Result<(Body, Digests), BackupError> {
        let mut head = [0; FRAME_HEAD_BYTES];
        self.fill(&mut head)?;
        let (length, sum) = head.split_at(4);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let body_bytes = usize::try_from(number(length)).unwrap_or(usize::MAX);
        if body_bytes > format::BODY_BYTES_MAX {
            return Err(self.damaged("a part is too long"));
        }
        let mut body = vec![0; body_bytes];
        self.fill(&mut body)?;
        if format::checksum(number(length).to_le_bytes(), &body) != number(sum) {
            return Err(self.damaged("the checksum of a part does not match"));
        }
        let before = self.digest.clone();
        let mut after = before.clone();
        after.update(head);
        after.update(&body);
        let body = format::decode(&body).ok_or_else(|| self.damaged("a part is unreadable"))?;
        Ok((body, Digests { before, after }))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        let filled = fill(self.source, buffer)?;
        self.bytes += filled as u64;
        if filled < buffer.len() {
            return Err(BackupError::CutOff { after: self.bytes });
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> BackupError {
        BackupError::Damaged {
            at: self.bytes,
            what: what.to_owned(),
        }
    }
}

/// Reads until `buffer` is full or the source ends. Returns how many bytes were read.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
