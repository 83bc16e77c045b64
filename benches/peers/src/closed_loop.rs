//! A closed loop: every connection sends the next request as soon as its answer is complete.
//!
//! Guarantees: every answer is compared with the expected one, and a wrong one ends the run. Each
//! connection has one request in flight. Counted answers arrived between the two samples.
//!
//! A generator that takes as long per request as the server cannot saturate it. So one thread
//! drives all connections with one ring: it judges everything that has arrived, and hands all new
//! requests to the kernel with one system call, which also waits.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use thiserror::Error;

use crate::answer::{Expected, Judgement};

/// If no connection gets an answer for this long, the run fails.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Why a run cannot be used.
#[derive(Debug, Error)]
pub enum LoopError {
    /// A system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What the generator was doing.
        doing: &'static str,
        /// The error.
        source: io::Error,
    },
    /// The server answers something else, or fails under load.
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

/// The server, the request and the load.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// One whole request.
    pub request: Vec<u8>,
    /// Its answer.
    pub expected: Expected,
    /// Connections that send it; at least 1.
    pub connections: usize,
    /// How long requests are sent before answers are counted.
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
    /// When the server answers wrongly or not at all, closes a connection, or a system call fails.
    pub fn run<S>(&self, sample: impl Fn() -> io::Result<S>) -> Result<Counted<S>, LoopError> {
        let mut driver = Driver::start(self)?;
        let take = || sample().map_err(system("taking the CPU time"));
        driver.run_until(Instant::now() + self.warm_up)?;
        let before = take()?;
        let (began, answers_before) = (Instant::now(), driver.answers);
        driver.run_until(began + self.window)?;
        let (elapsed, answers) = (began.elapsed(), driver.answers - answers_before);
        let after = take()?;
        Ok(Counted {
            answers,
            elapsed,
            before,
            after,
        })
    }
}

/// The operation of a completion, and the number of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Send(usize),
    Receive(usize),
}

impl Operation {
    fn to_user_data(self) -> u64 {
        match self {
            Self::Send(connection) => (connection as u64) << 1,
            Self::Receive(connection) => (connection as u64) << 1 | 1,
        }
    }

    fn of_user_data(data: u64) -> Self {
        let connection = usize::try_from(data >> 1).unwrap_or(usize::MAX);
        if data & 1 == 0 {
            Self::Send(connection)
        } else {
            Self::Receive(connection)
        }
    }
}

/// One connection. Its buffer is never freed, because the kernel may write into it until the
/// process ends.
struct Connection {
    stream: TcpStream,
    buffer: &'static mut [u8],
    filled: usize,
}

struct Driver<'a> {
    ring: IoUring,
    /// Never freed, because the kernel may read it until the process ends.
    request: &'static [u8],
    expected: &'a Expected,
    connections: Vec<Connection>,
    answers: u64,
    completed: Vec<(Operation, i32)>,
}

impl<'a> Driver<'a> {
    /// Connects, and sends the first request of every connection.
    fn start(load: &'a Load) -> Result<Self, LoopError> {
        let count = load.connections.max(1);
        let entries = u32::try_from(2 * count).unwrap_or(u32::MAX);
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(entries.next_power_of_two())
            .map_err(system("making a ring, which needs Linux 6.1"))?;
        let connection = |_| {
            let stream = TcpStream::connect(load.address)?;
            stream.set_nodelay(true)?;
            // One byte more than the longest right answer, so there is always room to receive.
            let buffer = vec![0; load.expected.bytes_max() + 1].leak();
            Ok(Connection {
                stream,
                buffer,
                filled: 0,
            })
        };
        let connections: io::Result<Vec<Connection>> = (0..count).map(connection).collect();
        let mut driver = Self {
            ring,
            request: load.request.clone().leak(),
            expected: &load.expected,
            connections: connections.map_err(system("connecting"))?,
            answers: 0,
            completed: Vec::with_capacity(2 * count),
        };
        for connection in 0..count {
            driver.send(connection)?;
            driver.receive(connection)?;
        }
        Ok(driver)
    }

    /// Runs the loop until `end`.
    fn run_until(&mut self, end: Instant) -> Result<(), LoopError> {
        while Instant::now() < end {
            self.step()?;
        }
        Ok(())
    }

    /// Submits the queued operations, waits for a completion, and handles all completions.
    fn step(&mut self) -> Result<(), LoopError> {
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
            // A request fits into the socket's buffer, which is empty when it is sent.
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
        let connection = self.connections.get_mut(number).ok_or(LoopError::Closed)?;
        connection.filled += bytes;
        let received = connection
            .buffer
            .get(..connection.filled)
            .unwrap_or_default();
        match self.expected.judge(received) {
            Judgement::Complete => {
                connection.filled = 0;
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
        let connection = self.connections.get(number).ok_or(LoopError::Closed)?;
        let length = u32::try_from(self.request.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(
            Fd(connection.stream.as_raw_fd()),
            self.request.as_ptr(),
            length,
        )
        .build();
        self.push(entry, Operation::Send(number))
    }

    fn receive(&mut self, number: usize) -> Result<(), LoopError> {
        let connection = self.connections.get_mut(number).ok_or(LoopError::Closed)?;
        let fd = Fd(connection.stream.as_raw_fd());
        let room = connection
            .buffer
            .get_mut(connection.filled..)
            .unwrap_or_default();
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(fd, room.as_mut_ptr(), length).build();
        self.push(entry, Operation::Receive(number))
    }

    fn push(&mut self, entry: squeue::Entry, operation: Operation) -> Result<(), LoopError> {
        let entry = entry.user_data(operation.to_user_data());
        // SAFETY: the memory of the request and of the buffers is leaked, so it is valid as long as
        // the kernel may use it. The request is never written to. A buffer is read only between the
        // completion of one receive and the start of the next.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| system("queueing a request")(io::ErrorKind::OutOfMemory.into()))
    }
}

/// `ETIME` of Linux, which `std` does not name: the wait timed out.
const ETIME: i32 = 62;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers every five bytes with the parts of `answer`, one segment each.
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
