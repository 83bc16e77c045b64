//! `serve.http.limits` and `serve.http.timeouts`: what clients may take of the server, and how the
//! values must relate to each other.

use std::time::Duration;

use crate::error::Problem;

/// So many of the largest requests fit into the memory of one worker.
const LARGEST_IN_MEMORY: usize = 4;

/// `serve.http.timeouts`: how long each phase of a connection may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// The longest pause between two requests.
    pub idle: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From the end of a head to the end of its body.
    pub body: Duration,
    /// In this time a body must bring 32 KiB or its end.
    pub body_progress: Duration,
    /// From the first byte of an answer to its last.
    pub write: Duration,
    /// How long bytes are read and dropped after an error.
    pub linger: Duration,
}

/// `serve.http.limits`: how large requests and answers may be, and how much the connections of one
/// worker may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpLimits {
    /// The most connections of one worker.
    pub connections: usize,
    /// The most connections of one worker from one address; `None` = as many as there are.
    pub connections_per_address: Option<usize>,
    /// Connections of one worker beyond `connections`, which may only ask whether the server is
    /// healthy.
    pub health_connections: usize,
    /// The most memory of one worker for requests and answers, in bytes.
    pub memory: usize,
    /// The request line and the header fields together, in bytes.
    pub head: usize,
    /// The header fields of one request.
    pub headers: usize,
    /// The request target, in bytes.
    pub target: usize,
    /// A request body, in bytes.
    pub body: usize,
    /// The body of a batch import, in bytes.
    pub batch_body: usize,
    /// The results of one batch verification together, in bytes.
    pub batch_answer: usize,
}

impl HttpLimits {
    /// The state before any key is read, with the defaults of those that depend on the memory
    /// limit.
    pub(crate) fn blank() -> Self {
        Self {
            connections: 8192,
            memory: 256 << 20,
            batch_body: 8 << 20,
            batch_answer: 4 << 20,
            ..Self::default()
        }
    }

    /// Values that contradict each other.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse_if = |is_wrong: bool, key: &str, message: String| {
            if is_wrong {
                problems.push(Problem::of_key(key, message));
            }
        };
        refuse_if(
            self.target >= self.head,
            "serve.http.limits.target",
            format!(
                "{} bytes do not fit into serve.http.limits.head, {} bytes; make the head larger or the target shorter",
                self.target, self.head
            ),
        );
        refuse_if(
            self.body > self.batch_body,
            "serve.http.limits.body",
            format!(
                "{} bytes are more than serve.http.limits.batch_body, {} bytes, the largest of all bodies; swap them or make them equal",
                self.body, self.batch_body
            ),
        );
        for (key, bytes) in [
            ("serve.http.limits.batch_body", self.batch_body),
            ("serve.http.limits.batch_answer", self.batch_answer),
        ] {
            refuse_if(
                bytes > self.memory / LARGEST_IN_MEMORY,
                key,
                format!(
                    "{bytes} bytes are more than a quarter of serve.http.limits.memory, {} bytes, so a few requests would take all of it; make the memory larger",
                    self.memory
                ),
            );
        }
        if let Some(most) = self.connections_per_address {
            refuse_if(
                most > self.connections,
                "serve.http.limits.connections_per_address",
                format!(
                    "{most} is more than serve.http.limits.connections, {}; leave it unset for no limit",
                    self.connections
                ),
            );
        }
        problems
    }
}
