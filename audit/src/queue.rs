//! The queue between those who note and the thread that writes.
//!
//! Guarantees: nobody waits for the queue; a reserved place is there until it is filled or given
//! back; what strangers cause takes at most a part of it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam::channel::Sender;
use talos_api::audit::{AuditLog, Blocked, Entry, NotWritten, Notice, Place, Written};
use talos_model::clock;

use crate::limits::{QUEUE, QUEUE_NOTICES};
use crate::quota::Quotas;

/// An entry on its way to the thread that writes.
pub(crate) struct Message {
    pub entry: Box<Entry>,
    /// Called when the entry is in the file, or when that has failed.
    pub written: Option<Written>,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct State {
    /// Places that are reserved or hold an entry.
    places: AtomicUsize,
    /// Whether the last attempt to write failed.
    pub failing: AtomicBool,
    /// Entries that were not taken and that no line has reported.
    pub unreported: AtomicU64,
    /// Entries that were written.
    pub written: AtomicU64,
    /// Entries that were not taken.
    pub dropped: AtomicU64,
    /// Failed attempts to write or to synchronise.
    pub failures: AtomicU64,
    pub quotas: Quotas,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            places: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            unreported: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            quotas: Quotas::new(),
        }
    }

    /// Takes a place if fewer than `bound` are taken.
    fn take_place(&self, bound: usize) -> bool {
        let next = |taken: usize| (taken < bound).then_some(taken + 1);
        self.places
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
            .is_ok()
    }

    /// Gives a place back.
    pub(crate) fn free_place(&self) {
        self.places.fetch_sub(1, Ordering::AcqRel);
    }

    /// Places that are taken.
    pub(crate) fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    /// Counts an entry that is not in the log.
    pub(crate) fn drop_entry(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.unreported.fetch_add(1, Ordering::Relaxed);
    }
}

/// The side of those who note.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub state: std::sync::Arc<State>,
    /// Its capacity is [`QUEUE`], so the holder of a place can send.
    pub sender: Sender<Message>,
    /// Whether an action needs an entry.
    pub is_required: bool,
}

impl Queue {
    fn send(&self, message: Message) -> Result<(), Option<Written>> {
        self.sender.try_send(message).map_err(|refused| {
            self.state.free_place();
            self.state.drop_entry();
            refused.into_inner().written
        })
    }
}

impl AuditLog for Queue {
    fn reserve(&self) -> Result<Box<dyn Place>, Blocked> {
        let is_taken = self.state.take_place(QUEUE);
        if self.is_required && (!is_taken || self.state.failing.load(Ordering::Acquire)) {
            if is_taken {
                self.state.free_place();
            }
            return Err(Blocked);
        }
        Ok(Box::new(Reserved {
            queue: self.clone(),
            is_taken,
            is_settled: false,
        }))
    }

    fn note(&self, notice: Notice, entry: &mut dyn FnMut() -> Entry) {
        if !self.state.quotas.admits(notice, clock::now()) {
            return;
        }
        if !self.state.take_place(QUEUE_NOTICES) {
            self.state.quotas.suppress(notice);
            return;
        }
        let message = Message {
            entry: Box::new(entry()),
            written: None,
        };
        // Refused only when the log is closed, and counted there.
        let _ = self.send(message);
    }
}

/// A place. Without one (`is_taken` is false) the entry will be missing, which it may be.
struct Reserved {
    queue: Queue,
    is_taken: bool,
    is_settled: bool,
}

impl Place for Reserved {
    fn fill(mut self: Box<Self>, entry: Entry, written: Written) {
        self.is_settled = true;
        if !self.is_taken {
            self.queue.state.drop_entry();
            return written(Ok(()));
        }
        let entry = Box::new(entry);
        if self.queue.is_required {
            let message = Message {
                entry,
                written: Some(written),
            };
            if let Err(Some(written)) = self.queue.send(message) {
                written(Err(NotWritten));
            }
            return;
        }
        let message = Message {
            entry,
            written: None,
        };
        // Refused only when the log is closed, and counted there.
        let _ = self.queue.send(message);
        written(Ok(()));
    }

    fn release(mut self: Box<Self>) {
        self.is_settled = true;
        if self.is_taken {
            self.queue.state.free_place();
        }
    }
}

impl Drop for Reserved {
    /// A panic or the end of the server: what was done is not known.
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        if self.is_taken {
            self.queue.state.free_place();
        }
        self.queue.state.drop_entry();
    }
}
