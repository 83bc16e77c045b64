//! `talos changes tail`: the changes of a server, as they happen.
//!
//! Guarantees: a change is written once and none is left out, however often the connection breaks, as long as the server's log
//! holds them; a line is written whole before the next one is waited for; who is stopped, and who is read no longer, has succeeded.

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
use talos_engine::Position;

use self::events::{Events, Item};
use self::line::{Format, Line};
use crate::client::{Client, url_encoded};
use crate::error::CliError;

/// The server says every 15 seconds that it is there. After three times that, it is not.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long to wait before the next attempt to connect: at first, and at most.
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether somebody still wants to know.
const LOOK: Duration = Duration::from_millis(200);
/// After a signal, how long a line may still be written.
const LAST_LINE: Duration = Duration::from_secs(1);
/// Events that wait for standard output.
const WAITING: usize = 64;

/// `talos changes`.
#[derive(Debug, Subcommand)]
pub(crate) enum ChangesCommand {
    /// Write changes as they happen, until interrupted; connects again after a break and leaves nothing out
    Tail(TailArguments),
}

/// Which changes.
#[derive(Debug, Args)]
pub(crate) struct TailArguments {
    /// Begin after this position, such as 1.42; 0 is the oldest change there is. From now on when it is left out
    #[arg(long, value_name = "POSITION", value_parser = place)]
    after: Option<String>,

    /// Only events of these names
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = PossibleValuesParser::new(EVENTS.iter().map(|(name, _)| *name)))]
    kind: Vec<String>,

    /// Only the changes of the tenant with this id
    #[arg(long, value_name = "UUID")]
    tenant: Option<String>,

    /// How each change is written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

fn place(text: &str) -> Result<String, String> {
    let is_place = text == "0" || text.parse::<Position>().is_ok();
    let owned = is_place.then(|| text.to_owned());
    owned.ok_or_else(|| "a position is EPOCH.SEQUENCE, such as 1.42, or 0".to_owned())
}

impl ChangesCommand {
    /// Runs the command until it is stopped.
    pub(crate) fn run(&self, client: Client) -> Result<(), CliError> {
        let Self::Tail(arguments) = self;
        arguments.run(client)
    }
}

/// What the thread that reads tells the one that writes.
enum Told {
    Change(String),
    /// For the person at the terminal.
    Remark(String),
    /// The last word.
    Failed(CliError),
}

impl TailArguments {
    fn run(&self, client: Client) -> Result<(), CliError> {
        let stopped = on_signal()?;
        let (tell, told) = sync_channel(WAITING);
        let tail = Tail {
            client,
            query: self.query(),
            place: None,
            tell,
        };
        thread::spawn(move || tail.run());
        write_all(&told, self.format, &stopped)
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

/// Becomes true at the first signal. A line that nobody reads does not keep the process from ending.
fn on_signal() -> Result<Arc<AtomicBool>, CliError> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(CliError::Terminal)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            seen.store(true, Ordering::SeqCst);
            thread::sleep(LAST_LINE);
            std::process::exit(0);
        }
    });
    Ok(stopped)
}

fn write_all(told: &Receiver<Told>, format: Format, stopped: &AtomicBool) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let mut write = |text: &str| {
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Wanted::No),
            written => written.map(|()| Wanted::Yes).map_err(CliError::Terminal),
        }
    };
    let mut heading = Some(format.heading());
    while !stopped.load(Ordering::SeqCst) {
        match told.recv_timeout(LOOK) {
            Ok(Told::Change(data)) => {
                let line = heading.take().unwrap_or_default() + &Line::of(&data).text(format);
                if write(&line)? == Wanted::No {
                    return Ok(());
                }
            }
            Ok(Told::Remark(remark)) => {
                // A remark that cannot be written is no reason to stop.
                let _ = writeln!(io::stderr(), "talos: {remark}");
            }
            Ok(Told::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) if is_closed(&io::stdout()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the thread that reads the changes has ended";
                return Err(CliError::Terminal(io::Error::other(message)));
            }
        }
    }
    Ok(())
}

/// Whether somebody still reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

/// Whether the reader of a pipe has gone, which is otherwise seen only when the next line is written.
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
    /// The place up to which everything has been told.
    place: Option<String>,
    tell: SyncSender<Told>,
}

/// The thread that writes has ended.
struct Stopped;

impl From<SendError<Told>> for Stopped {
    fn from(_: SendError<Told>) -> Self {
        Self
    }
}

impl Tail {
    fn run(mut self) {
        // It ends with the process, or with who writes.
        let _ = self.follow();
    }

    fn follow(&mut self) -> Result<(), Stopped> {
        let (mut was_there, mut backoff) = (false, BACKOFF);
        loop {
            let error = match self.connect() {
                Ok(stream) => {
                    was_there = true;
                    let (error, came) = self.pass_on(stream)?;
                    if came {
                        backoff = BACKOFF;
                    }
                    error
                }
                Err(error) => error,
            };
            // A mistake in the command line shows at the first attempt; later ones meet a server that starts again.
            if !was_there || is_final(&error) {
                return Ok(self.tell.send(Told::Failed(error))?);
            }
            let wait = backoff.as_secs_f32();
            let remark = format!("{error}; connecting again in {wait} s");
            self.tell.send(Told::Remark(remark))?;
            thread::sleep(backoff);
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }

    fn connect(&self) -> Result<Events<impl io::Read + use<>>, CliError> {
        let path = format!("/v2alpha1/admin/changes?{}", self.query);
        let mut headers = vec![("Accept", talos_api::change::CONTENT_TYPE)];
        headers.extend(self.place.as_deref().map(|place| ("Last-Event-ID", place)));
        let stream = self.client.stream(&path, &headers, SILENCE_MAX)?;
        Ok(Events::new(stream))
    }

    /// Passes on what comes until the stream ends: why it did, and whether anything came.
    fn pass_on(&mut self, mut stream: Events<impl io::Read>) -> Result<(CliError, bool), Stopped> {
        let mut came = false;
        let message = loop {
            match stream.next() {
                Ok(Some(Item::Event { id, data })) => {
                    self.tell.send(Told::Change(data))?;
                    self.place = Some(id);
                }
                Ok(Some(Item::Place(id))) => self.place = Some(id),
                Ok(Some(Item::Sign)) => {}
                Ok(None) => break "the stream has ended".to_owned(),
                Err(error) => break error.to_string(),
            }
            came = true;
        };
        let endpoint = self.client.endpoint().to_owned();
        Ok((CliError::Transport { endpoint, message }, came))
    }
}

/// Whether asking again would be answered the same.
fn is_final(error: &CliError) -> bool {
    match error {
        CliError::Refused { status, .. } => {
            (400..500).contains(status) && !matches!(status, 408 | 429)
        }
        CliError::NoServer { .. } | CliError::Transport { .. } => false,
        _ => true,
    }
}
