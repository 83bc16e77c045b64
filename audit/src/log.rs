//! Opens the log, and closes it in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use talos_api::audit::AuditLog;

use crate::limits;
use crate::open_error::OpenError;
use crate::queue::{Queue, State};
use crate::sink::{Opened, Sink};
use crate::writer::{Fsync, Options, Writer};

/// A log that is open. [`Self::close`] it after the last request.
#[derive(Debug)]
pub struct Audit {
    handle: AuditHandle,
    /// Dropped to tell the thread to end.
    closing: Sender<()>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// Reads the counts of a log; stays readable after its end.
#[derive(Clone, Debug)]
pub struct AuditHandle(Queue);

/// The counts of a log since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Entries that were written.
    pub written: u64,
    /// Entries that were not taken, because the queue was full or the server ended.
    pub dropped: u64,
    /// Failed attempts to write or to synchronise.
    pub failures: u64,
    /// Places of the queue that are taken now.
    pub queued: u64,
}

impl Audit {
    /// Opens the log, finds the end of its chain, and starts the thread that writes.
    ///
    /// # Errors
    /// [`OpenError`], for the operator.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let is_durable = options.fsync != Fsync::Never;
        let opened = Sink::open(&options.target, &options.keys, is_durable)?;
        Self::start(options, opened).map_err(OpenError::Thread)
    }

    /// Starts the thread that writes to `opened`.
    fn start(options: Options, opened: Opened) -> io::Result<Self> {
        let state = Arc::new(State::new());
        let (sender, messages) = channel::bounded(limits::QUEUE);
        let (closing, closed) = channel::bounded(0);
        let (ending, ended) = channel::bounded(0);
        let is_required = options.is_required;
        let writer = Writer::new(options, opened, Arc::clone(&state));
        thread::Builder::new()
            .name("talos-audit".to_owned())
            .spawn(move || {
                writer.run(&messages, &closed);
                drop::<Sender<()>>(ending);
            })?;
        Ok(Self {
            handle: AuditHandle(Queue {
                state,
                sender,
                is_required,
            }),
            closing,
            ended,
        })
    }

    /// The interface for both planes.
    #[must_use]
    pub fn log(&self) -> Arc<dyn AuditLog> {
        Arc::new(self.handle.0.clone())
    }

    /// The counts of the log.
    #[must_use]
    pub fn handle(&self) -> AuditHandle {
        self.handle.clone()
    }

    /// Writes what is left and ends the thread. Waits at most some seconds for a file that hangs.
    pub fn close(self) {
        drop(self.closing);
        // Disconnected is the end; nothing is ever sent.
        let ended = self.ended.recv_timeout(limits::CLOSE_WAIT);
        if ended == Err(channel::RecvTimeoutError::Timeout) {
            tracing::error!("the audit log did not end in time; entries may be lost");
        }
    }
}

impl AuditHandle {
    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = &self.0.state;
        Counts {
            written: state.written.load(Ordering::Relaxed),
            dropped: state.dropped.load(Ordering::Relaxed),
            failures: state.failures.load(Ordering::Relaxed),
            queued: state.places() as u64,
        }
    }
}

#[cfg(test)]
mod tests;
