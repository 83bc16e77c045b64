//! The storage of a simulated node: maps in memory. A crash keeps only what was synced.

use std::collections::BTreeMap;

use talos_model::{
    CopyCursor, CopyEnd, CopyName, CopyPlace, CopyRow, Epoch, EpochHistory, EpochId, Position,
    Sequence,
};

use crate::message::{Batch, Chunk, Digest, LogPoint};
use crate::random::Random;
use crate::sink::{ChangeSink, DurableState, Progress, SinkError};
use crate::source::{ChangeSource, CopyOpening, CopyReading, Looked, Reading, SourceError};

/// The row family of keys.
const KEYS: u16 = 1;
/// The most changes of one batch: few, so that there are many batches.
const BATCH: usize = 3;
/// The most rows of one chunk: few, so that there are many chunks.
const CHUNK: usize = 2;
/// Copies that a primary keeps at a time.
const COPIES: usize = 2;
/// How many refused copies it takes until an unread copy is dropped.
const COPY_IDLE: usize = 5;

/// An operation on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Issue,
    Revoke,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Valid,
    Revoked,
}

pub type KeyName = u16;

fn encode(op: Op, key: KeyName) -> Vec<u8> {
    let [one, two] = key.to_be_bytes();
    vec![u8::from(op == Op::Revoke), one, two]
}

fn decode(bytes: &[u8]) -> (Op, KeyName) {
    let op = if bytes[0] == 0 { Op::Issue } else { Op::Revoke };
    (op, KeyName::from_be_bytes([bytes[1], bytes[2]]))
}

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub durable: DurableState,
    pub keys: BTreeMap<KeyName, Key>,
    /// The changes after `log_after`.
    pub log: BTreeMap<u64, (Epoch, Vec<u8>)>,
    pub log_after: u64,
}

impl State {
    fn put(&mut self, op: Op, key: KeyName) {
        let made = match op {
            Op::Issue => Key::Valid,
            Op::Revoke => Key::Revoked,
        };
        self.keys.insert(key, made);
    }
}

#[derive(Debug)]
struct Copy {
    id: CopyName,
    point: LogPoint,
    rows: Vec<CopyRow>,
    /// How often another copy was refused since the last read.
    idle: usize,
}

/// Whether applied changes are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Always,
    /// A defect: applied changes are synced only with the next write of another kind.
    Skipped,
}

#[derive(Debug)]
pub struct Store {
    pub state: State,
    /// The state after a crash, if it differs.
    synced: Option<Box<State>>,
    /// A backup of an earlier state.
    backup: Option<Box<State>>,
    sync: Sync,
    copies: Vec<Copy>,
    random: Random,
    /// How often the state was dropped for a copy.
    pub generation: u64,
}

impl Store {
    pub fn new(seed: u64, sync: Sync) -> Self {
        let mut random = Random::new(seed);
        Self {
            state: State {
                durable: DurableState {
                    history: EpochHistory::first(EpochId(random.array())),
                    progress: Progress::At(Position::START),
                    last: None,
                },
                keys: BTreeMap::new(),
                log: BTreeMap::new(),
                log_after: 0,
            },
            synced: None,
            backup: None,
            sync,
            copies: Vec::new(),
            random,
            generation: 0,
        }
    }

    pub fn crash(&mut self) {
        if let Some(synced) = self.synced.take() {
            self.state = *synced;
        }
        self.copies.clear();
    }

    pub fn history(&self) -> &EpochHistory {
        &self.state.durable.history
    }

    /// The last change; `None` in the middle of a copy.
    pub fn committed(&self) -> Option<Position> {
        match &self.state.durable.progress {
            Progress::At(position) => Some(*position),
            Progress::Copying(_) => None,
        }
    }

    /// Writes as a primary, synced.
    pub fn commit(&mut self, op: Op, key: KeyName) -> Position {
        let committed = self.committed().expect("a primary's copy is complete");
        let position = Position {
            epoch: self.history().newest(),
            sequence: committed.sequence.next(),
        };
        // Random bytes make every change unique.
        let change = [encode(op, key), self.random.array::<4>().to_vec()].concat();
        self.state.durable.last = Some(Digest::of(&change));
        let entry = (position.epoch, change);
        self.state.log.insert(position.sequence.0, entry);
        self.state.put(op, key);
        self.state.durable.progress = Progress::At(position);
        self.synced = None;
        position
    }

    /// Makes a backup of the whole state.
    pub fn back_up(&mut self) {
        self.backup = Some(Box::new(self.state.clone()));
    }

    /// Restores the backup, if it has the same epoch history and is complete.
    pub fn restore(&mut self) -> bool {
        let same = |backup: &State| {
            backup.durable.history == *self.history()
                && matches!(backup.durable.progress, Progress::At(_))
        };
        if !self.backup.as_deref().is_some_and(same) {
            return false;
        }
        let Some(backup) = self.backup.take() else {
            return false;
        };
        self.state = *backup;
        self.synced = None;
        self.copies.clear();
        self.generation += 1;
        true
    }

    /// Drops old changes of the log.
    pub fn trim(&mut self) {
        let held = self.state.log.len();
        if held > 0 && self.synced.is_none() {
            let dropped = self.random.below(held);
            for _ in 0..dropped {
                if let Some((sequence, _)) = self.state.log.pop_first() {
                    self.state.log_after = sequence;
                }
            }
        }
    }
}

impl ChangeSource for Store {
    fn look(&mut self, at: Position) -> Result<Looked, SourceError> {
        let in_log = self.state.log.get(&at.sequence.0);
        Ok(if let Some((_, change)) = in_log {
            Looked::Here(Some(Digest::of(change)))
        } else if Some(at) == self.committed() {
            Looked::Here(self.state.durable.last)
        } else if at.sequence.0 == 0 && self.state.log_after == 0 {
            Looked::Here(None)
        } else {
            Looked::Gone
        })
    }

    fn read(
        &mut self,
        after: Position,
        up_to: Sequence,
        _bytes_max: usize,
    ) -> Result<Reading, SourceError> {
        if after.sequence.0 < self.state.log_after {
            return Ok(Reading::Gone);
        }
        let mut found = self
            .state
            .log
            .range(after.sequence.0 + 1..)
            .take_while(|(sequence, _)| **sequence <= up_to.0)
            .peekable();
        let Some(&(&sequence, &(epoch, _))) = found.peek() else {
            return Ok(Reading::None);
        };
        let changes = found
            .take_while(|(_, (of, _))| *of == epoch)
            .take(1 + self.random.below(BATCH))
            .map(|(_, (_, change))| change.clone())
            .collect();
        let sequence = Sequence(sequence);
        let first = Position { epoch, sequence };
        Ok(Reading::Changes(Batch { first, changes }))
    }

    fn open_copy(&mut self, resume: Option<CopyName>) -> Result<CopyOpening, SourceError> {
        let kept = self.copies.iter().find(|copy| Some(copy.id) == resume);
        if let Some(copy) = kept {
            return Ok(CopyOpening::Open(copy.id, copy.point));
        }
        if self.copies.len() >= COPIES {
            // A copy that is being read is not dropped: replicas would take it from each other for
            // ever.
            self.copies.iter_mut().for_each(|copy| copy.idle += 1);
            let idle = self.copies.iter().position(|copy| copy.idle > COPY_IDLE);
            let Some(idle) = idle else {
                super::note("copy refused");
                return Ok(CopyOpening::Busy);
            };
            self.copies.remove(idle);
        }
        let row = |(key, state): (&KeyName, &Key)| CopyRow {
            family: KEYS,
            key: key.to_be_bytes().to_vec(),
            value: vec![u8::from(*state == Key::Revoked)],
        };
        let copy = Copy {
            id: CopyName(self.random.array()),
            point: LogPoint {
                position: self.committed().expect("a primary's copy is complete"),
                digest: self.state.durable.last,
            },
            rows: self.state.keys.iter().map(row).collect(),
            idle: 0,
        };
        let opened = CopyOpening::Open(copy.id, copy.point);
        self.copies.push(copy);
        Ok(opened)
    }

    fn read_copy(
        &mut self,
        copy: CopyName,
        after: &CopyCursor,
        _bytes_max: usize,
    ) -> Result<CopyReading, SourceError> {
        let Some(copy) = self.copies.iter_mut().find(|kept| kept.id == copy) else {
            return Ok(CopyReading::Gone);
        };
        copy.idle = 0;
        let mut rest = copy.rows.iter().filter(|row| row.cursor() > *after);
        let rows: Vec<_> = rest.by_ref().take(CHUNK).cloned().collect();
        let end = match rest.next() {
            Some(_) => CopyEnd::More,
            None => CopyEnd::Last,
        };
        Ok(CopyReading::Rows(rows, end))
    }

    fn close_copy(&mut self, copy: CopyName) {
        self.copies.retain(|kept| kept.id != copy);
    }
}

impl ChangeSink for Store {
    fn adopt(&mut self, history: &EpochHistory) -> Result<(), SinkError> {
        self.state.durable.history = history.clone();
        self.synced = None;
        Ok(())
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), SinkError> {
        if self.sync == Sync::Skipped && self.synced.is_none() {
            self.synced = Some(Box::new(self.state.clone()));
        }
        for (number, change) in batch.changes.iter().enumerate() {
            let sequence = batch.first.sequence.plus(number);
            let (op, key) = decode(change);
            let entry = (batch.first.epoch, change.clone());
            self.state.log.insert(sequence.0, entry);
            self.state.put(op, key);
        }
        self.state.durable.progress = Progress::At(batch.last());
        self.state.durable.last = Some(batch.digest());
        Ok(())
    }

    fn begin_copy(&mut self, history: &EpochHistory, place: &CopyPlace) -> Result<(), SinkError> {
        self.state = State {
            durable: DurableState {
                history: history.clone(),
                progress: Progress::Copying(place.clone()),
                last: None,
            },
            keys: BTreeMap::new(),
            log: BTreeMap::new(),
            log_after: place.position.sequence.0,
        };
        self.synced = None;
        self.generation += 1;
        Ok(())
    }

    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError> {
        for row in &chunk.rows {
            assert_eq!(row.family, KEYS);
            let key = KeyName::from_be_bytes([row.key[0], row.key[1]]);
            let revoked = row.value == [1];
            let op = if revoked { Op::Revoke } else { Op::Issue };
            self.state.put(op, key);
        }
        let Progress::Copying(place) = &mut self.state.durable.progress else {
            return Err(SinkError("no copy has begun".to_owned()));
        };
        place.cursor = chunk.cursor();
        if chunk.end == CopyEnd::Last {
            self.state.durable.last = place.digest.map(Digest);
            self.state.durable.progress = Progress::At(chunk.position);
        }
        self.synced = None;
        Ok(())
    }
}
