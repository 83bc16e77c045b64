//! A server with a control plane that does what the request says.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use talos_test_kit::engine::options;
pub(crate) use talos_test_kit::http::{Answer, Connection};

use talos_api::control::{
    BodyStream, Chunk, Chunks, ControlPlane, ControlRequest, ControlResponse, Ending, Overloaded,
    Reply, Task,
};
use talos_api::fleet::{Fleet, body_digest};
use talos_engine::{Engine, Options};
use talos_server::{AdminHosts, Deadlines, DriverChoice, ListenScope, Server, ServerOptions};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::allocations::{bytes_on_this_thread, on_this_thread};
use crate::fleet::ScriptedFleet;

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

fn answer(reply: Reply, response: ControlResponse) {
    // A client that has gone does not matter here.
    let _ = reply.answer(response);
}

impl ControlPlane for ScriptedControl {
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded> {
        let script = request
            .headers
            .iter()
            .find(|(name, _)| name == "x-test")
            .map(|(_, value)| value.clone());
        match script.as_deref() {
            None => answer(reply, echo(&request)),
            // From another thread, as the real one answers.
            Some("later") => {
                thread::spawn(move || answer(reply, echo(&request)));
            }
            Some("hold") => self.held.lock().unwrap().push((request, reply)),
            Some("feed") => answer(reply, self.stream(Ending::AfterAnyChunk)),
            Some("file") => answer(reply, self.stream(Ending::AfterTheLast)),
            Some("drop") => drop(reply),
            Some("panic") => panic!("planned"),
            Some("allocations") => answer(
                reply,
                ControlResponse {
                    status: 200,
                    headers: Vec::new(),
                    body: on_this_thread().to_string().into_bytes(),
                    rest: None,
                },
            ),
            Some("memory") => answer(
                reply,
                ControlResponse {
                    status: 200,
                    headers: Vec::new(),
                    body: bytes_on_this_thread().to_string().into_bytes(),
                    rest: None,
                },
            ),
            // An answer of 1 MiB to a short request.
            Some("large") => answer(
                reply,
                ControlResponse {
                    status: 200,
                    headers: Vec::new(),
                    body: vec![b'x'; 1 << 20],
                    rest: None,
                },
            ),
            Some("address") => answer(
                reply,
                ControlResponse {
                    status: 200,
                    headers: Vec::new(),
                    body: format!("{:?}", request.client_ip).into_bytes(),
                    rest: None,
                },
            ),
            Some("caller") => answer(
                reply,
                ControlResponse {
                    status: 200,
                    headers: Vec::new(),
                    body: caller(&request).into_bytes(),
                    rest: None,
                },
            ),
            // Another node's answer, passed on.
            Some("forwarded") => {
                let mut response = echo(&request);
                let position = ("Talos-Position", "7.77".to_owned());
                response.headers.push(position);
                answer(reply, response);
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

    /// Waits until the client of each held request has gone.
    pub(crate) fn await_gone(&self) {
        eventually("the clients have gone", || {
            let mut context = Context::from_waker(Waker::noop());
            let mut held = self.held.lock().unwrap();
            held.iter_mut()
                .all(|(_, reply)| reply.poll_gone(&mut context).is_ready())
        });
    }

    /// Answers all held requests.
    pub(crate) fn release(&self) {
        for (request, reply) in self.held.lock().unwrap().drain(..) {
            reply.answer(echo(&request));
        }
    }
}

/// What the data plane says of a request: its principal, the client's address, and whether its body
/// is sealed.
fn caller(request: &ControlRequest) -> String {
    let principal = request.principal.as_ref().map_or_else(
        || "nobody".to_owned(),
        |principal| format!("{} by {}", principal.name, principal.proof.name()),
    );
    let address = request.client_ip.map(|address| address.to_string());
    let address = address.unwrap_or_else(|| "nowhere".to_owned());
    let sealed = request.sealed_body.map_or("open", |sealed| {
        if sealed == body_digest(&request.body) {
            "sealed"
        } else {
            "altered"
        }
    });
    format!("{principal} from {address}, {sealed}")
}

fn echo(request: &ControlRequest) -> ControlResponse {
    let mut body = format!(
        "{} {}?{} {} {}\n",
        request.method, request.path, request.query, request.host, request.request_id
    );
    // Nearly every request has the same type; it is not what these tests are about.
    for (name, value) in request
        .headers
        .iter()
        .filter(|(name, _)| name != "content-type")
    {
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
            shards: Some(1),
            block_cache_bytes,
            ..options(&data.path().join("data"))
        })
        .unwrap();
        let fleet = Arc::new(ScriptedFleet::new(Arc::clone(&engine)));
        let control = Arc::new(ScriptedControl::default());
        let mut options = ServerOptions {
            workers: 1,
            driver,
            ..ServerOptions::new("127.0.0.1:0".parse().unwrap())
        };
        // The requests of most tests have any host.
        options.listeners[0].admin_hosts =
            AdminHosts::new(ListenScope::Loopback, &["*".to_owned()]);
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

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
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

/// A request to the control plane.
pub(crate) fn post(fields: &str, body: &str) -> String {
    format!(
        "POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    )
}

pub(crate) const ALIVE: &str = "GET /health/alive HTTP/1.1\r\nHost: h\r\n\r\n";
