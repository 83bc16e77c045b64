//! A server with a control plane that does what the request says, and a client that sees every
//! byte.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use crate::allocations::on_this_thread;
use crate::fleet::ScriptedFleet;
use talos_api::control::{
    BodyStream, Chunk, Chunks, ControlPlane, ControlRequest, ControlResponse, Ending, Overloaded,
    Reply, Task,
};
use talos_api::fleet::Fleet;
use talos_engine::{
    Engine, Keyring, KeyringSettings, LastUsedOptions, Options, Prefixes, Retention, Secret,
    TokenSettings,
};
use talos_server::{Deadlines, DriverChoice, Server, ServerOptions};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Long enough for anything that is going to happen on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A path that the control plane answers with what it was given.
pub(crate) const ECHO: &str = "/v2alpha1/admin/issuedApiKeys";

pub(crate) fn both_drivers(test: impl Fn(DriverChoice)) {
    for driver in [DriverChoice::IoUring, DriverChoice::Epoll] {
        test(driver);
    }
}

/// What `X-Test` asks the control plane to do with a request.
#[derive(Default)]
pub(crate) struct ScriptedControl {
    held: Mutex<Vec<(ControlRequest, Reply)>>,
    streams: Mutex<Vec<mpsc::Sender<Chunk>>>,
}

/// What the test sends into a channel.
struct Sent(mpsc::Receiver<Chunk>);

impl Chunks for Sent {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Chunk> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.unwrap_or(Chunk::Broken))
    }
}

impl ControlPlane for ScriptedControl {
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded> {
        let script = request
            .headers
            .iter()
            .find(|(name, _)| name == "x-test")
            .map(|(_, value)| value.clone());
        match script.as_deref() {
            None => reply(echo(&request)),
            // From another thread, as the real one answers.
            Some("later") => {
                thread::spawn(move || reply(echo(&request)));
            }
            Some("hold") => self.held.lock().unwrap().push((request, reply)),
            Some("feed") => reply(self.stream(Ending::AfterAnyChunk)),
            Some("file") => reply(self.stream(Ending::AfterTheLast)),
            Some("drop") => drop(reply),
            Some("panic") => panic!("planned"),
            Some("allocations") => reply(ControlResponse {
                status: 200,
                headers: Vec::new(),
                body: on_this_thread().to_string().into_bytes(),
                rest: None,
            }),
            Some("address") => reply(ControlResponse {
                status: 200,
                headers: Vec::new(),
                body: format!("{:?}", request.client_ip).into_bytes(),
                rest: None,
            }),
            // Another node's answer, passed on.
            Some("forwarded") => {
                let mut response = echo(&request);
                let position = ("Talos-Position", "7.77".to_owned());
                response.headers.push(position);
                reply(response);
            }
            Some("full") => return Err(Overloaded),
            Some(other) => panic!("unknown script {other}"),
        }
        Ok(())
    }

    fn spawn(&self, task: Task) {
        let runtime = Builder::new_current_thread().enable_time().build();
        thread::spawn(move || runtime.unwrap().block_on(task));
    }
}

impl ScriptedControl {
    fn stream(&self, ending: Ending) -> ControlResponse {
        let (sender, receiver) = mpsc::channel(1);
        self.streams.lock().unwrap().push(sender);
        ControlResponse {
            status: 200,
            headers: vec![("Content-Type", "text/plain".to_owned())],
            body: b"first".to_vec(),
            rest: Some(BodyStream {
                chunks: Box::new(Sent(receiver)),
                ending,
            }),
        }
    }

    /// Where the parts of the stream that was begun last come from.
    pub(crate) fn last_stream(&self) -> mpsc::Sender<Chunk> {
        eventually("a stream", || !self.streams.lock().unwrap().is_empty());
        self.streams.lock().unwrap().pop().unwrap()
    }

    /// Waits until so many requests are held.
    pub(crate) fn await_held(&self, count: usize) {
        eventually("requests are held", || {
            self.held.lock().unwrap().len() >= count
        });
    }

    /// Answers all held requests.
    pub(crate) fn release(&self) {
        for (request, reply) in self.held.lock().unwrap().drain(..) {
            reply(echo(&request));
        }
    }
}

fn echo(request: &ControlRequest) -> ControlResponse {
    let mut body = format!(
        "{} {}?{} {} {}\n",
        request.method, request.path, request.query, request.host, request.request_id
    );
    for (name, value) in &request.headers {
        writeln!(body, "{name}={value}").unwrap();
    }
    let mut body = body.into_bytes();
    body.extend_from_slice(&request.body);
    ControlResponse {
        status: 201,
        headers: vec![("Content-Type", "text/plain".to_owned())],
        body,
        rest: None,
    }
}

/// Waits for `condition`, which is expected to come true.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}: never");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A running server with all it needs.
pub(crate) struct Fixture {
    pub(crate) server: Option<Server>,
    pub(crate) control: Arc<ScriptedControl>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) fleet: Arc<ScriptedFleet>,
    pub(crate) address: SocketAddr,
    data: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new(driver: DriverChoice) -> Self {
        Self::with(driver, |_| {})
    }

    pub(crate) fn with_deadlines(
        driver: DriverChoice,
        change: impl FnOnce(&mut Deadlines),
    ) -> Self {
        Self::with(driver, |options| change(&mut options.deadlines))
    }

    pub(crate) fn with(driver: DriverChoice, change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::over(tempfile::tempdir().unwrap(), 1 << 20, driver, change)
    }

    /// The same data under a new engine that has nothing in memory and no cache for blocks.
    pub(crate) fn restarted(mut self, driver: DriverChoice) -> Self {
        self.server.take();
        self.engine.shutdown();
        let nothing = tempfile::tempdir().unwrap();
        let data = std::mem::replace(&mut self.data, nothing);
        drop(self);
        Self::over(data, 0, driver, |_| {})
    }

    fn over(
        data: tempfile::TempDir,
        block_cache_bytes: usize,
        driver: DriverChoice,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Self {
        let engine = Engine::open(Options {
            path: data.path().join("data"),
            shards: Some(1),
            block_cache_bytes,
            cache_bytes: 1 << 20,
            cache_ttl_s: 300,
            last_used: LastUsedOptions::default(),
            retention: Retention::default(),
            snapshots: 2,
            keyring: Keyring::new(KeyringSettings {
                hmac_current: Secret::new("0123456789abcdef0123456789abcdef".to_owned()),
                hmac_retired: Vec::new(),
                prefixes: Prefixes {
                    current: "talos".to_owned(),
                    retired: Vec::new(),
                    public_current: None,
                    public_retired: Vec::new(),
                },
                issuer: "http://localhost".to_owned(),
                max_ttl_s: 31_536_000,
                clock_skew_s: 0,
                tokens: TokenSettings::default(),
            }),
            render: talos_api::verify::render_valid,
            render_token: talos_api::verify::render_valid_token,
        })
        .unwrap();
        let fleet = Arc::new(ScriptedFleet::new(Arc::clone(&engine)));
        let control = Arc::new(ScriptedControl::default());
        let mut options = ServerOptions {
            workers: 1,
            driver,
            ..ServerOptions::new("127.0.0.1:0".parse().unwrap())
        };
        change(&mut options);
        let server = Server::bind(
            options,
            Arc::clone(&engine),
            Arc::clone(&fleet) as Arc<dyn Fleet>,
            Arc::clone(&control) as Arc<dyn ControlPlane>,
        )
        .unwrap();
        let address = server.local_addr();
        Self {
            server: Some(server),
            control,
            engine,
            fleet,
            address,
            data,
        }
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends `request` on a connection of its own and returns the one answer.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.send(request.as_bytes());
        client.answer()
    }

    pub(crate) fn total(
        &self,
        counter: impl Fn(&talos_server::metrics::CoreMetrics) -> u64,
    ) -> u64 {
        self.server().metrics().sum(counter)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Connections end before the engine does.
        self.server.take();
        self.engine.shutdown();
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field, which must not be there twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            line.split_once(": ")
                .filter(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        });
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {}", self.head);
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The `reason` of an error envelope whose code is the status.
    pub(crate) fn reason(&self) -> String {
        let value: serde_json::Value =
            serde_json::from_slice(&self.body).expect("an error envelope");
        assert_eq!(value["error"]["code"], self.status);
        value["error"]["details"][0]["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// A client that reads byte by byte what the server sends.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer, to a request of `method`.
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let end = loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            assert!(
                self.receive(),
                "the connection ended within a head: {:?}",
                String::from_utf8_lossy(&self.received)
            );
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .unwrap()
            .parse()
            .unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        let length = answer
            .field("Content-Length")
            .map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            while self.received.len() < length {
                assert!(self.receive(), "the connection ended within a body");
            }
            answer.body = self.received.drain(..length).collect();
        }
        answer
    }

    /// The next chunk of a body that comes in chunks; empty at its end.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = loop {
            if let Some(at) = self.received.windows(2).position(|two| two == b"\r\n") {
                break self.received.drain(..at + 2).collect::<Vec<_>>();
            }
            assert!(self.receive(), "the connection ended before a chunk");
        };
        let length = std::str::from_utf8(&line).unwrap().trim_end();
        let length = usize::from_str_radix(length, 16).unwrap();
        while self.received.len() < length + 2 {
            assert!(self.receive(), "the connection ended within a chunk");
        }
        let chunk = self.received.drain(..length).collect();
        assert_eq!(self.received.drain(..2).collect::<Vec<_>>(), b"\r\n");
        chunk
    }

    /// Everything up to the end of the connection.
    pub(crate) fn all(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Whether the server ends the connection cleanly, without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    /// Whether nothing has come, for as long as it takes to be fairly sure.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let result = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.received.is_empty()
            && matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).unwrap();
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

/// A request to the control plane.
pub(crate) fn post(fields: &str, body: &str) -> String {
    format!(
        "POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    )
}

pub(crate) const ALIVE: &str = "GET /health/alive HTTP/1.1\r\nHost: h\r\n\r\n";
