//! The thread that writes: takes the entries that wait, gives each its place in the chain, writes
//! them together, and synchronises them once.
//!
//! What cannot be written stays in memory and is tried again; until then no further entry is taken
//! out of the queue.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, RecvTimeoutError, select};
use talos_api::audit::{NotWritten, Written, minute};
use talos_model::clock;

use crate::chain::{ChainKeys, Link};
use crate::limits::{BATCH_BYTES, BATCH_ENTRIES, RETRY, TICK};
use crate::line::{self, Content, Damage};
use crate::queue::{Message, State};
use crate::sink::{Opened, Sink, Target};

/// When what was written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before an answer that waits for its entry is given.
    Always,
    /// Within a second.
    Interval,
    /// When the system does it.
    Never,
}

/// How the log is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it goes.
    pub target: Target,
    /// Whether an action needs an entry.
    pub is_required: bool,
    /// When what was written is made durable.
    pub fsync: Fsync,
    /// The name of this node in every line.
    pub node: String,
    /// The keys of the chain.
    pub keys: ChainKeys,
}

pub(crate) struct Writer {
    sink: Sink,
    state: Arc<State>,
    keys: ChainKeys,
    node: String,
    fsync: Fsync,
    /// The last line that was formed.
    last: Link,
    /// The last line that is in the file.
    last_written: Link,
    /// Lines that are not in the file, from `begun` on.
    pending: Vec<u8>,
    begun: usize,
    /// Entries among them.
    entries: u64,
    /// Those who wait for them.
    waiting: Vec<Written>,
    /// Whether something in the file is not durable.
    is_unsynced: bool,
    torn_bytes: Option<u64>,
    /// Whether nothing has been written. What a crash tore off is finished in its own file.
    is_first: bool,
    /// The minute in which counts of what is not noted were looked at last.
    minute: u32,
}

impl Writer {
    pub(crate) fn new(options: Options, opened: Opened, state: Arc<State>) -> Self {
        let mut writer = Self {
            sink: opened.sink,
            state,
            keys: options.keys,
            node: options.node,
            fsync: options.fsync,
            last: opened.last,
            last_written: opened.last,
            pending: Vec::new(),
            begun: 0,
            entries: 0,
            waiting: Vec::new(),
            is_unsynced: false,
            torn_bytes: None,
            is_first: true,
            minute: minute(clock::now()),
        };
        let mut torn = opened.torn;
        if opened.is_open {
            // Ends what a crash tore off, so that the next line is a line.
            writer.pending.push(b'\n');
            torn += 1;
        }
        writer.torn_bytes = (torn > 0).then_some(torn);
        writer.append(&Content::Opened);
        writer
    }

    /// Writes what `messages` brings until `closing` is dropped or sent, and then what is left.
    pub(crate) fn run(mut self, messages: &Receiver<Message>, closing: &Receiver<()>) {
        self.flush();
        loop {
            if self.is_blocked() {
                match closing.recv_timeout(RETRY) {
                    Err(RecvTimeoutError::Timeout) => self.flush(),
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
                continue;
            }
            select! {
                recv(messages) -> message => match message {
                    Ok(message) => self.take(message, messages),
                    Err(_) => break,
                },
                recv(closing) -> _ => break,
                default(TICK) => {}
            }
            self.tick();
        }
        self.close(messages);
    }

    fn close(&mut self, messages: &Receiver<Message>) {
        self.flush();
        while !self.is_blocked()
            && let Ok(message) = messages.try_recv()
        {
            self.take(message, messages);
        }
        if self.is_blocked() {
            let lost = messages.len() as u64 + self.entries;
            tracing::error!(lost, "the audit log stops while it cannot be written");
            return;
        }
        self.report_suppressed();
        self.append(&Content::Closed);
        self.flush();
        if self.fsync != Fsync::Never {
            self.sync();
        }
    }

    /// Takes this and what else waits, and writes it.
    fn take(&mut self, first: Message, messages: &Receiver<Message>) {
        for message in std::iter::once(first)
            .chain(messages.try_iter())
            .take(BATCH_ENTRIES)
        {
            self.append(&Content::Entry(&message.entry));
            self.entries += 1;
            self.waiting.extend(message.written);
            self.state.free_place();
            if self.pending.len() >= BATCH_BYTES {
                break;
            }
        }
        self.flush();
    }

    fn tick(&mut self) {
        if self.is_blocked() {
            return;
        }
        let minute = minute(clock::now());
        if minute != self.minute {
            self.minute = minute;
            self.report_suppressed();
            self.flush();
        }
        if self.fsync == Fsync::Interval && self.is_unsynced {
            self.sync();
        }
    }

    fn report_suppressed(&mut self) {
        if let Some(suppressed) = self.state.quotas.take_suppressed() {
            self.append(&Content::Suppressed(suppressed));
        }
    }

    /// Forms a line. It is written by the next [`Self::flush`].
    fn append(&mut self, content: &Content<'_>) {
        let damage = Damage {
            torn_bytes: self.torn_bytes.take(),
            missing: self.state.unreported.swap(0, Ordering::Relaxed),
        };
        let formed = line::append(
            &mut self.pending,
            content,
            &self.node,
            clock::now(),
            damage,
            self.last,
            self.keys.current(),
        );
        match formed {
            Some(link) => self.last = link,
            None => self.state.drop_entry(),
        }
    }

    /// Whether lines wait to be written, or what was written to be made durable, after a failure.
    fn is_blocked(&self) -> bool {
        self.state.failing.load(Ordering::Relaxed)
    }

    /// Writes all pending lines, makes them durable if they must be, and tells those who wait.
    fn flush(&mut self) {
        let result = self.try_flush();
        let told = match result {
            Ok(()) => Ok(()),
            Err(_) => Err(NotWritten),
        };
        for written in mem::take(&mut self.waiting) {
            written(told);
        }
        self.settle(result);
    }

    fn try_flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            if self.begun == 0 && !self.is_first {
                self.sink.prepare(self.pending.len(), self.last_written)?;
            }
            while let Some(rest) = self
                .pending
                .get(self.begun..)
                .filter(|rest| !rest.is_empty())
            {
                match self.sink.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => self.begun += written,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.pending.clear();
            self.begun = 0;
            self.is_first = false;
            self.is_unsynced = true;
            self.last_written = self.last;
            self.state
                .written
                .fetch_add(mem::take(&mut self.entries), Ordering::Relaxed);
        }
        if self.fsync == Fsync::Always && self.is_unsynced {
            self.sink.sync()?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    fn sync(&mut self) {
        let result = self.sink.sync();
        self.is_unsynced = result.is_err();
        self.settle(result);
    }

    /// Notes whether the log can be written. The log of the server hears of a change only.
    fn settle(&mut self, result: io::Result<()>) {
        let was_failing = self.state.failing.swap(result.is_err(), Ordering::AcqRel);
        match result {
            Err(error) => {
                self.state.failures.fetch_add(1, Ordering::Relaxed);
                if !was_failing {
                    tracing::error!(
                        %error,
                        "the audit log cannot be written; it is tried again every second"
                    );
                }
            }
            Ok(()) if was_failing => tracing::info!("the audit log is written again"),
            Ok(()) => {}
        }
    }
}
