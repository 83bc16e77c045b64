//! `talos changes tail`: writes the changes of a server as they happen.
//!
//! Guarantees:
//! - However often the connection breaks, every change is written once, as long as the server's log
//!   has it.
//! - A line is written whole before the next change is awaited.
//! - The command succeeds when it is stopped by a signal, or when the reader of its output has
//!   gone.

mod events;
mod line;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use talos_api::change::EVENTS;
use talos_model::Position;

use self::events::{Events, Item};
use self::line::{Format, Line};
use crate::client::{Client, url_encoded};
use crate::error::CliError;
use crate::printable::printable;

/// The server sends a heartbeat every 15 seconds. After three times that, the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The wait before the next attempt to connect, at first. It doubles with every failure.
const BACKOFF: Duration = Duration::from_millis(250);
/// The longest wait before the next attempt to connect.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How often the command checks whether its output is still read.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// How long the current line may still be written after a signal.
const LAST_LINE_MAX: Duration = Duration::from_secs(1);
/// The capacity of the channel of changes between the threads.
const CHANNEL_CAPACITY: usize = 64;

/// `talos changes`.
#[derive(Debug, Subcommand)]
pub(crate) enum ChangesCommand {
    /// Write changes as they happen, until interrupted; reconnects after a failure without missing
    /// a change
    Tail(TailArguments),
}

/// Which changes to write.
#[derive(Debug, Args)]
pub(crate) struct TailArguments {
    /// Begin after this position, such as 1.42; 0 = the oldest change in the log; default: only new
    /// changes
    #[arg(long, value_name = "POSITION", value_parser = parse_position)]
    after: Option<String>,

    /// only events with these names
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = PossibleValuesParser::new(EVENTS.iter().map(|(name, _)| *name)))]
    kind: Vec<String>,

    /// Only the changes of the tenant with this id
    #[arg(long, value_name = "UUID")]
    tenant: Option<String>,

    /// Format of each change
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

fn parse_position(text: &str) -> Result<String, String> {
    let is_position = text == "0" || text.parse::<Position>().is_ok();
    let owned = is_position.then(|| text.to_owned());
    owned.ok_or_else(|| "a position is EPOCH.SEQUENCE, such as 1.42, or 0".to_owned())
}

impl ChangesCommand {
    /// Runs the command until it is stopped.
    pub(crate) fn run(&self, client: Client) -> Result<(), CliError> {
        let Self::Tail(arguments) = self;
        arguments.run(client)
    }
}

/// A message from the thread that reads to the thread that writes.
enum Message {
    Change(String),
    /// A line for standard error.
    Remark(String),
    /// The reading thread has ended with this error.
    Failed(CliError),
}

impl TailArguments {
    fn run(&self, client: Client) -> Result<(), CliError> {
        let stopped = on_signal()?;
        let (sender, receiver) = sync_channel(CHANNEL_CAPACITY);
        let tail = Tail {
            client,
            query: self.query(),
            position: None,
            sender,
        };
        thread::spawn(move || tail.run());
        write_all(&receiver, self.format, &stopped)
    }

    fn query(&self) -> String {
        let after = self.after.iter().map(|after| ("after", after));
        let tenant = self.tenant.iter().map(|tenant| ("tenant", tenant));
        let kinds = self.kind.iter().map(|kind| ("kind", kind));
        let all = after.chain(tenant).chain(kinds);
        let pairs: Vec<_> = all
            .map(|(name, value)| format!("{name}={}", url_encoded(value)))
            .collect();
        pairs.join("&")
    }
}

/// The flag becomes true at the first signal. Shortly after it the process ends, even if a line
/// cannot be written.
fn on_signal() -> Result<Arc<AtomicBool>, CliError> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(CliError::Terminal)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            seen.store(true, Ordering::SeqCst);
            thread::sleep(LAST_LINE_MAX);
            std::process::exit(0);
        }
    });
    Ok(stopped)
}

fn write_all(
    receiver: &Receiver<Message>,
    format: Format,
    stopped: &AtomicBool,
) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let mut write = |text: &str| {
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            written => written
                .map(|()| Reader::Present)
                .map_err(CliError::Terminal),
        }
    };
    let mut heading = Some(format.heading());
    while !stopped.load(Ordering::SeqCst) {
        match receiver.recv_timeout(CHECK_INTERVAL) {
            Ok(Message::Change(data)) => {
                let line = heading.take().unwrap_or_default() + &Line::of(&data).text(format);
                if write(&line)? == Reader::Gone {
                    return Ok(());
                }
            }
            Ok(Message::Remark(remark)) => {
                // A remark that cannot be written does not stop the command.
                let _ = writeln!(io::stderr(), "talos: {}", printable(&remark));
            }
            Ok(Message::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) if is_closed(&io::stdout()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the thread that reads the changes ended";
                return Err(CliError::Terminal(io::Error::other(message)));
            }
        }
    }
    Ok(())
}

/// Whether standard output still has a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Present,
    Gone,
}

/// Whether the reader of a pipe has gone. Otherwise only the next write would show that.
fn is_closed(out: &io::Stdout) -> bool {
    let mut asked = [PollFd::new(out, PollFlags::empty())];
    let at_once = Timespec::default();
    poll(&mut asked, Some(&at_once)).is_ok()
        && asked
            .iter()
            .any(|out| out.revents().contains(PollFlags::ERR))
}

/// The thread that reads.
struct Tail {
    client: Client,
    query: String,
    /// All changes up to this position are sent.
    position: Option<String>,
    sender: SyncSender<Message>,
}

/// How a stream ended.
struct StreamEnd {
    error: CliError,
    /// Whether the server sent anything.
    received: bool,
}

/// The thread that writes has ended.
struct Stopped;

impl From<SendError<Message>> for Stopped {
    fn from(_: SendError<Message>) -> Self {
        Self
    }
}

impl Tail {
    fn run(mut self) {
        // An error means that the thread that writes has ended.
        let _ = self.follow();
    }

    fn follow(&mut self) -> Result<(), Stopped> {
        let (mut was_connected, mut backoff) = (false, BACKOFF);
        loop {
            let error = match self.connect() {
                Ok(stream) => {
                    was_connected = true;
                    let end = self.pass_on(stream)?;
                    if end.received {
                        backoff = BACKOFF;
                    }
                    end.error
                }
                Err(error) => error,
            };
            // At the first attempt every error ends the command, because it may be a mistake in the
            // command line. Later the server may only be restarting.
            if !was_connected || is_final(&error) {
                return Ok(self.sender.send(Message::Failed(error))?);
            }
            let wait = backoff.as_secs_f32();
            let remark = format!("{error}; connecting again in {wait} s");
            self.sender.send(Message::Remark(remark))?;
            thread::sleep(backoff);
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }

    fn connect(&self) -> Result<Events<impl io::Read + use<>>, CliError> {
        let path = format!("/v2alpha1/admin/changes?{}", self.query);
        let mut headers = vec![("Accept", talos_api::change::CONTENT_TYPE)];
        headers.extend(
            self.position
                .as_deref()
                .map(|position| ("Last-Event-ID", position)),
        );
        let stream = self.client.stream(&path, &headers, SILENCE_MAX)?;
        Ok(Events::new(stream))
    }

    /// Passes changes on until the stream ends.
    fn pass_on(&mut self, mut stream: Events<impl io::Read>) -> Result<StreamEnd, Stopped> {
        let mut received = false;
        let message = loop {
            match stream.next() {
                Ok(Some(Item::Event { id, data })) => {
                    self.sender.send(Message::Change(data))?;
                    self.position = Some(id);
                }
                Ok(Some(Item::Position(id))) => self.position = Some(id),
                Ok(Some(Item::Heartbeat)) => {}
                Ok(None) => break "the stream ended".to_owned(),
                Err(error) => break error.to_string(),
            }
            received = true;
        };
        let endpoint = self.client.endpoint().to_owned();
        Ok(StreamEnd {
            error: CliError::Transport { endpoint, message },
            received,
        })
    }
}

/// Whether another attempt would fail in the same way.
fn is_final(error: &CliError) -> bool {
    match error {
        CliError::Refused { status, .. } => {
            (400..500).contains(status) && !matches!(status, 408 | 429)
        }
        CliError::NoServer { .. } | CliError::Transport { .. } => false,
        _ => true,
    }
}
