//! Log lines on their way to standard error.
//!
//! Guarantees: who logs never waits for whoever reads standard error: a line is queued, or dropped and counted; lines
//! leave whole and in the order in which they were queued; dropped lines are told of, in a line of their own, as soon
//! as there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most; at some 300 bytes a line, a good megabyte.
const LINES_MAX: usize = 4096;
/// What one write to standard error takes along, in bytes.
const BATCH_BYTES: usize = 64 * 1024;
/// How long an exit waits for lines that nobody reads.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The way into the queue.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    sender: Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    /// A line with its line feed.
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(Sender<()>),
}

impl LogQueue {
    /// Starts the thread that writes to `output`. It ends when the last clone of the queue has gone.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = channel::bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&dropped);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, output, &seen))?;
        Ok(Self { sender, dropped })
    }

    /// Waits until all that is queued now is written, but no longer than some [`FLUSH_MAX`].
    pub(crate) fn wait_until_written(&self) {
        // The first round makes room to tell of dropped lines, the second writes that.
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

/// Takes whole lines: the formatter hands over each in one piece.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Entry::Line(line.to_vec())).is_err() {
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
        // A standard error that is closed has nobody to tell.
        let _ = output.write_all(&batch);
        batch.clear();
        let total = dropped.load(Ordering::Relaxed);
        if total > told {
            told = total;
            // Goes through the queue like every line. Should it be dropped itself, the total grows and is told again.
            tracing::warn!(
                total,
                "log lines were dropped: standard error was not read fast enough"
            );
        }
        if let Some(done) = flushed {
            // Whoever asked may have given up.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that takes nothing until it is told to.
    struct Gate {
        open: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Fails once the test has dropped its end, which opens the gate for good.
            let _ = self.open.recv();
            // Fails once the test has failed.
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
        let queue = LogQueue::start(Gate { open, written }).expect("a thread");
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
        // Beside the queue, the writer holds one batch.
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
