//! Requests in a closed loop: every connection sends the next one as soon as its answer is complete.
//!
//! Guarantees: every answer is compared with the expected one, and a wrong one ends the run; one request is on its way per
//! connection; what is counted was answered between the two samples.
//!
//! A generator that takes as long per request as the server does cannot saturate it. So one thread drives all connections
//! over one ring: what has arrived since the last turn is judged, and all that follows from it is handed to the kernel by
//! one system call, which also waits.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use thiserror::Error;

use crate::answer::{Expected, Judgement};

/// How long all connections may be without an answer.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Why a run cannot be used.
#[derive(Debug, Error)]
pub enum LoopError {
    /// The system refuses something; the operator looks.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The server is not the one that is meant, or fails under load.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// The server has closed a connection.
    #[error("a connection was closed by the server")]
    Closed,
    /// The server does not answer.
    #[error("no answer for {} s", SILENCE_MAX.as_secs())]
    Silent,
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> LoopError {
    move |source| LoopError::System { doing, source }
}

/// What is sent where.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// One whole request.
    pub request: Vec<u8>,
    /// Its answer.
    pub expected: Expected,
    /// How many connections send it; at least 1.
    pub connections: usize,
    /// How long they do so before anything is counted.
    pub warm_up: Duration,
    /// How long answers are counted.
    pub window: Duration,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<S> {
    /// Complete answers.
    pub answers: u64,
    /// The time between the samples.
    pub elapsed: Duration,
    /// The sample before the first counted answer.
    pub before: S,
    /// The sample after the last one.
    pub after: S,
}

impl Load {
    /// Runs the load and counts. `sample` is called when counting begins and when it has ended.
    ///
    /// # Errors
    /// [`LoopError`]
    pub fn run<S>(&self, sample: impl Fn() -> io::Result<S>) -> Result<Counted<S>, LoopError> {
        let mut turns = Turns::start(self)?;
        let take = || sample().map_err(system("taking the CPU time"));
        turns.until(Instant::now() + self.warm_up)?;
        let before = take()?;
        let (began, answers_before) = (Instant::now(), turns.answers);
        turns.until(began + self.window)?;
        let (elapsed, answers) = (began.elapsed(), turns.answers - answers_before);
        let after = take()?;
        Ok(Counted {
            answers,
            elapsed,
            before,
            after,
        })
    }
}

/// What a completion belongs to: a connection by its number, and one of its two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Send(usize),
    Receive(usize),
}

impl Operation {
    fn to_user_data(self) -> u64 {
        match self {
            Self::Send(seat) => (seat as u64) << 1,
            Self::Receive(seat) => (seat as u64) << 1 | 1,
        }
    }

    fn of_user_data(data: u64) -> Self {
        let seat = usize::try_from(data >> 1).unwrap_or(usize::MAX);
        if data & 1 == 0 {
            Self::Send(seat)
        } else {
            Self::Receive(seat)
        }
    }
}

/// One connection. Its buffer is never freed, because the kernel may write into it for as long as the process lives.
struct Seat {
    stream: TcpStream,
    buffer: &'static mut [u8],
    filled: usize,
}

struct Turns<'a> {
    ring: IoUring,
    /// Never freed, like the buffers.
    request: &'static [u8],
    expected: &'a Expected,
    seats: Vec<Seat>,
    answers: u64,
    completed: Vec<(Operation, i32)>,
}

impl<'a> Turns<'a> {
    /// Connects, and sends the first request of every connection.
    fn start(load: &'a Load) -> Result<Self, LoopError> {
        let connections = load.connections.max(1);
        let entries = u32::try_from(2 * connections).unwrap_or(u32::MAX);
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(entries.next_power_of_two())
            .map_err(system("making a ring, which needs Linux 6.1"))?;
        let seat = |_| {
            let stream = TcpStream::connect(load.address)?;
            stream.set_nodelay(true)?;
            // One byte more than the longest right answer, so that there is always room to receive into.
            let buffer = vec![0; load.expected.bytes_max() + 1].leak();
            Ok(Seat {
                stream,
                buffer,
                filled: 0,
            })
        };
        let seats: io::Result<Vec<Seat>> = (0..connections).map(seat).collect();
        let mut turns = Self {
            ring,
            request: load.request.clone().leak(),
            expected: &load.expected,
            seats: seats.map_err(system("connecting"))?,
            answers: 0,
            completed: Vec::with_capacity(2 * connections),
        };
        for seat in 0..connections {
            turns.send(seat)?;
            turns.receive(seat)?;
        }
        Ok(turns)
    }

    /// Goes on until `end`.
    fn until(&mut self, end: Instant) -> Result<(), LoopError> {
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Hands over what is ready to be sent, waits for something to happen, and looks at all that has.
    fn turn(&mut self) -> Result<(), LoopError> {
        let patience = Timespec::new().sec(SILENCE_MAX.as_secs());
        let arguments = SubmitArgs::new().timespec(&patience);
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(ETIME) => return Err(LoopError::Silent),
            Err(error) => return Err(system("waiting for answers")(error)),
        }
        let mut completed = std::mem::take(&mut self.completed);
        completed.extend(
            self.ring
                .completion()
                .map(|entry| (Operation::of_user_data(entry.user_data()), entry.result())),
        );
        for (operation, result) in completed.drain(..) {
            self.complete(operation, result)?;
        }
        self.completed = completed;
        Ok(())
    }

    fn complete(&mut self, operation: Operation, result: i32) -> Result<(), LoopError> {
        let bytes = usize::try_from(result)
            .map_err(|_| system("a connection")(io::Error::from_raw_os_error(-result)))?;
        let number = match operation {
            // A request is shorter than a socket's buffer, which is empty when it is sent.
            Operation::Send(_) if bytes == self.request.len() => return Ok(()),
            Operation::Send(_) => {
                let source = io::ErrorKind::WriteZero.into();
                return Err(system("sending a request at once")(source));
            }
            Operation::Receive(number) => number,
        };
        if bytes == 0 {
            return Err(LoopError::Closed);
        }
        let seat = self.seats.get_mut(number).ok_or(LoopError::Closed)?;
        seat.filled += bytes;
        let received = seat.buffer.get(..seat.filled).unwrap_or_default();
        match self.expected.judge(received) {
            Judgement::Complete => {
                seat.filled = 0;
                self.answers += 1;
                self.send(number)?;
            }
            Judgement::Incomplete => {}
            Judgement::Wrong => {
                return Err(LoopError::Wrong(
                    String::from_utf8_lossy(received).into_owned(),
                ));
            }
        }
        self.receive(number)
    }

    fn send(&mut self, number: usize) -> Result<(), LoopError> {
        let seat = self.seats.get(number).ok_or(LoopError::Closed)?;
        let length = u32::try_from(self.request.len()).unwrap_or(u32::MAX);
        let entry =
            opcode::Send::new(Fd(seat.stream.as_raw_fd()), self.request.as_ptr(), length).build();
        self.push(entry, Operation::Send(number))
    }

    fn receive(&mut self, number: usize) -> Result<(), LoopError> {
        let seat = self.seats.get_mut(number).ok_or(LoopError::Closed)?;
        let fd = Fd(seat.stream.as_raw_fd());
        let room = seat.buffer.get_mut(seat.filled..).unwrap_or_default();
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(fd, room.as_mut_ptr(), length).build();
        self.push(entry, Operation::Receive(number))
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation) -> Result<(), LoopError> {
        let entry = entry.user_data(operation.to_user_data());
        // SAFETY: the memory of requests and answers is leaked, hence valid for as long as the kernel may use it. Nobody
        // writes to a request. A buffer is read only between the completion of one receive and the start of the next.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| system("queueing a request")(io::ErrorKind::OutOfMemory.into()))
    }
}

/// `ETIME` of Linux, which `std` has no name for: the wait was over before anything happened.
const ETIME: i32 = 62;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers every five bytes with the parts of `answer`, each in a segment of its own.
    fn server(answer: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || {
                    let mut request = [0; 5];
                    while stream.read_exact(&mut request).is_ok() {
                        for part in answer {
                            if stream.write_all(part.as_bytes()).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        address
    }

    fn load(address: SocketAddr) -> Load {
        Load {
            address,
            request: b"ask\r\n".to_vec(),
            expected: Expected::new("$4\r\n", "body\r\n"),
            connections: 3,
            warm_up: Duration::from_millis(10),
            window: Duration::from_millis(50),
        }
    }

    #[test]
    fn answers_in_parts_are_counted_once() {
        let samples = std::cell::Cell::new(0);
        let counted = load(server(&["$4", "\r\nbo", "dy\r\n"])).run(|| {
            samples.set(samples.get() + 1);
            Ok(samples.get())
        });
        let counted = counted.unwrap();
        assert!(counted.answers > 0);
        assert!(counted.elapsed >= Duration::from_millis(50));
        assert_eq!((counted.before, counted.after), (1, 2));
    }

    #[test]
    fn a_wrong_answer_ends_the_run() {
        let error = load(server(&["$-1\r\n"])).run(|| Ok(())).unwrap_err();
        assert!(
            matches!(&error, LoopError::Wrong(text) if text == "$-1\r\n"),
            "{error}"
        );
    }

    #[test]
    fn a_server_that_hangs_up_ends_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Reads the request first, so that the connection is closed and not reset.
                let mut stream = stream.unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
            }
        });
        let error = load(address).run(|| Ok(())).unwrap_err();
        assert!(matches!(error, LoopError::Closed), "{error}");
    }

    #[test]
    fn operations_survive_the_way_through_the_kernel() {
        for operation in [
            Operation::Send(0),
            Operation::Receive(0),
            Operation::Receive(63),
        ] {
            assert_eq!(Operation::of_user_data(operation.to_user_data()), operation);
        }
    }
}
