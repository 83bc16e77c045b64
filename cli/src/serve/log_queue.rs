//! A queue between the log and standard error.
//!
//! Guarantees:
//! - Logging never waits for the reader of standard error: a line is queued, or dropped and
//!   counted.
//! - Lines are written whole, in the order in which they were queued.
//! - As soon as there is room again, a line reports how many lines were dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use tracing_subscriber::fmt::MakeWriter;

use super::log_line::{self, Escapes};

/// The capacity of the queue. With about 300 bytes a line, this is a little more than a megabyte.
const LINES_MAX: usize = 4096;
/// The size of one write to standard error, in bytes.
const BATCH_BYTES: usize = 64 * 1024;
/// The longest that an exit waits for the queue.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The sending side of the queue.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    sender: Sender<Entry>,
    dropped: Arc<AtomicU64>,
    escapes: Escapes,
}

#[derive(Debug)]
enum Entry {
    /// A line with its line feed.
    Line(Vec<u8>),
    /// Answered after everything before it is written.
    Flush(Sender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `output`. Control characters in a line are escaped in the
    /// manner of `escapes`. The thread ends when the last clone of the queue is dropped.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(output: impl Write + Send + 'static, escapes: Escapes) -> io::Result<Self> {
        let (sender, receiver) = channel::bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&dropped);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, output, &seen))?;
        Ok(Self {
            sender,
            dropped,
            escapes,
        })
    }

    /// Waits until everything that is queued now is written, but not much longer than
    /// [`FLUSH_MAX`].
    pub(crate) fn wait_until_written(&self) {
        // The first round makes room for the report of dropped lines; the second round writes it.
        for _ in 0..2 {
            let (done, written) = channel::bounded(1);
            let asked = self.sender.send_timeout(Entry::Flush(done), FLUSH_MAX);
            if asked.is_err() || written.recv_timeout(FLUSH_MAX).is_err() {
                return;
            }
        }
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Every call is one whole line, because the formatter writes a line with one call.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let entry = Entry::Line(log_line::escaped(line, self.escapes).into_owned());
        if self.sender.try_send(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write_lines(entries: &Receiver<Entry>, mut output: impl Write, dropped: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    let mut told = 0;
    while let Ok(first) = entries.recv() {
        let mut flushed = None;
        for entry in std::iter::once(first).chain(entries.try_iter()) {
            match entry {
                Entry::Line(line) => batch.extend_from_slice(&line),
                Entry::Flush(done) => flushed = Some(done),
            }
            if batch.len() >= BATCH_BYTES || flushed.is_some() {
                break;
            }
        }
        // If standard error is closed, the lines are lost.
        let _ = output.write_all(&batch);
        batch.clear();
        let total = dropped.load(Ordering::Relaxed);
        if total > told {
            told = total;
            // This line goes through the queue, too. If it is dropped, the total grows and is
            // reported again.
            tracing::warn!(
                total,
                "log lines were dropped: standard error was not read fast enough"
            );
        }
        if let Some(done) = flushed {
            // The receiver may have timed out.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that blocks until the gate opens.
    struct Gate {
        open: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Fails after the test has dropped its end, which opens the gate for good.
            let _ = self.open.recv();
            // Fails only after the test has failed.
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LogQueue, Sender<()>, Receiver<Vec<u8>>) {
        let (open_gate, open) = channel::unbounded();
        let (written, lines) = channel::unbounded();
        let queue = LogQueue::start(Gate { open, written }, Escapes::Text).expect("a thread");
        (queue, open_gate, lines)
    }

    #[test]
    fn lines_leave_in_order_and_an_exit_waits_for_them() {
        let (mut queue, gate, written) = gated();
        drop(gate);
        for number in 0..100 {
            writeln!(queue, "{number}").expect("queued");
        }
        queue.wait_until_written();
        let lines = written.try_iter().flatten().collect();
        let wanted: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(lines), Ok(wanted));
    }

    #[test]
    fn a_stuck_output_costs_lines_and_no_time() {
        let (mut queue, gate, written) = gated();
        let (sent, line) = (3 * LINES_MAX, [b'x'; 1024]);
        for _ in 0..sent {
            queue.write_all(&line).expect("queued or dropped");
        }
        // Besides the queue, the writer has one batch.
        let kept = sent - usize::try_from(queue.dropped()).expect("few");
        assert!(
            (LINES_MAX..=LINES_MAX + BATCH_BYTES / line.len()).contains(&kept),
            "{kept}"
        );
        drop(gate);
        drop(queue);
        let bytes: usize = written.iter().map(|batch| batch.len()).sum();
        assert_eq!(bytes / line.len(), kept);
    }
}
