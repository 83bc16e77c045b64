//! Overload, stops, panics, and clients that go.

use std::sync::{Mutex, mpsc as std_mpsc};
use std::task::{Context, Poll};

use talos_api::control::Replying;
use talos_api::route::{Endpoint, PathKeyId};
use talos_model::TenantId;

use super::*;

const BOUNDS: Bounds = Bounds {
    waiting: 2,
    bytes: 1000,
    running: 1,
};
const LANES: PerLane<Bounds> = PerLane {
    changes: BOUNDS,
    reads: BOUNDS,
    documents: BOUNDS,
    self_revocations: BOUNDS,
};

fn request(path: &str, body_bytes: usize) -> ControlRequest {
    ControlRequest {
        endpoint: match path {
            "/read" => Endpoint::ListIssuedKeys,
            "/document" => Endpoint::Jwks,
            "/anybody" => Endpoint::SelfRevoke,
            _ => Endpoint::IssueKey,
        },
        method: "POST",
        template: "/template",
        key_id: PathKeyId::NONE,
        tenant: TenantId::SINGLE,
        tenant_of_host: None,
        path: path.to_owned(),
        query: String::new(),
        host: "localhost".to_owned(),
        headers: Vec::new(),
        body: vec![b' '; body_bytes],
        request_id: "r".to_owned(),
        client_ip: None,
        principal: None,
        sealed_body: None,
    }
}

fn ok() -> ControlResponse {
    ControlResponse::json(200, b"{}".to_vec())
}

/// A queue whose handler panics on `/panic`. Other requests wait until the test adds a permit
/// to `gate`.
struct Fixture {
    runtime: tokio::runtime::Runtime,
    sender: QueueSender,
    stop: Option<oneshot::Sender<()>>,
    run: tokio::task::JoinHandle<()>,
    gate: Arc<Semaphore>,
    started: std_mpsc::Receiver<String>,
    metrics: Arc<ControlMetrics>,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        let metrics = Arc::new(ControlMetrics::default());
        let (sender, worker) = new(LANES, Arc::clone(&metrics), runtime.handle().clone());
        let gate = Arc::new(Semaphore::new(0));
        let (starting, started) = std_mpsc::channel();
        let starting = Arc::new(Mutex::new(starting));
        let handler_gate = Arc::clone(&gate);
        let handler = move |request: ControlRequest, mut client: Client| {
            let (gate, starting) = (Arc::clone(&handler_gate), Arc::clone(&starting));
            async move {
                starting
                    .lock()
                    .expect("a lock")
                    .send(request.path.clone())
                    .expect("a listener");
                assert_ne!(request.path, "/panic", "expected by this test");
                if request.path == "/until-gone" {
                    client.gone().await;
                } else {
                    gate.acquire().await.expect("an open gate").forget();
                }
                ok()
            }
        };
        let (stop, stopped) = oneshot::channel();
        let run = runtime.spawn(worker.run(handler, stopped));
        Self {
            runtime,
            sender,
            stop: Some(stop),
            run,
            gate,
            started,
            metrics,
        }
    }

    /// Submits a request. The channel closes without a status when the reply is dropped.
    fn submit(&self, path: &str, body_bytes: usize) -> Result<Status, Overloaded> {
        let (answered, answer) = std_mpsc::channel();
        let reply = Box::new(move |response: ControlResponse| {
            answered.send(response.status).expect("a listener");
        });
        self.sender
            .submit(request(path, body_bytes), reply)
            .map(|()| Status(answer))
    }
}

/// The status of an answer to come.
#[derive(Debug)]
struct Status(std_mpsc::Receiver<u16>);

impl Status {
    fn get(self) -> u16 {
        self.0.recv().expect("an answer")
    }
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let fixture = Fixture::new();
    let mut accepted = vec![fixture.submit("/runs", 1).expect("room")];
    fixture.started.recv().expect("a start");
    for _ in 0..BOUNDS.waiting {
        accepted.push(fixture.submit("/waits", 1).expect("room"));
    }
    fixture.submit("/over", 1).expect_err("a full queue");
    fixture.gate.add_permits(4);
    for status in accepted {
        assert_eq!(status.get(), 200);
    }
    assert_eq!(fixture.submit("/again", 1).expect("room").get(), 200);
}

#[test]
fn a_full_lane_leaves_the_others_their_places() {
    let fixture = Fixture::new();
    let mut accepted = Vec::new();
    let paths = ["/change", "/anybody", "/read", "/document"];
    for path in paths {
        accepted.push(fixture.submit(path, BOUNDS.bytes).expect("room"));
        assert_eq!(fixture.started.recv().as_deref(), Ok(path));
        for _ in 0..BOUNDS.waiting {
            accepted.push(fixture.submit(path, 0).expect("room"));
        }
        fixture.submit(path, 0).expect_err("a full lane");
    }
    fixture.gate.add_permits(accepted.len());
    for status in accepted {
        assert_eq!(status.get(), 200);
    }
}

/// A client that goes when the test drops `stays`.
struct Leaving {
    gone: mpsc::Receiver<()>,
}

impl Replying for Leaving {
    fn answer(self: Box<Self>, _: ControlResponse) -> Delivery {
        Delivery::ClientGone
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.gone.poll_recv(context).map(drop)
    }
}

#[test]
fn a_client_that_goes_gives_its_place_back() {
    let fixture = Fixture::new();
    let (stays, gone) = mpsc::channel(1);
    let reply = Box::new(Leaving { gone });
    fixture
        .sender
        .submit(request("/until-gone", BOUNDS.bytes), reply)
        .expect("room");
    fixture.started.recv().expect("a start");
    let next = fixture.submit("/next", 0).expect("room");
    drop(stays);
    assert_eq!(fixture.started.recv().as_deref(), Ok("/next"));
    fixture.gate.add_permits(1);
    assert_eq!(next.get(), 200);
}

/// Whether the receipt of a request that is answered with `status` says that it was sent.
fn is_sent(status: u16, delivery: Delivery) -> bool {
    struct Given(Delivery);
    impl Replying for Given {
        fn answer(self: Box<Self>, _: ControlResponse) -> Delivery {
            self.0
        }

        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
    let metrics = ControlMetrics::default();
    let request = request("/r", 0);
    let job = Job {
        timer: metrics.start_request(&request),
        request,
        reply: Box::new(Given(delivery)),
        bytes: Arc::new(Semaphore::new(1))
            .try_acquire_many_owned(1)
            .expect("a permit"),
    };
    let (sender, sent) = std_mpsc::channel();
    let handler = |_, client: Client| {
        let sender = sender.clone();
        client
            .receipt()
            .when_sent(move || sender.send(()).expect("a receiver"));
        async move { ControlResponse::json(status, b"{}".to_vec()) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(answer(job, handler, &metrics));
    sent.try_recv().is_ok()
}

#[test]
fn an_answer_is_sent_if_the_request_succeeds_and_the_client_is_there() {
    assert!(is_sent(201, Delivery::Taken));
    assert!(!is_sent(201, Delivery::ClientGone));
    assert!(!is_sent(503, Delivery::Taken));
    assert!(!is_sent(409, Delivery::Taken));
}

#[test]
fn bytes_are_bounded_until_they_are_answered() {
    let fixture = Fixture::new();
    fixture
        .submit("/over", BOUNDS.bytes + 1)
        .expect_err("too many bytes");
    let most = fixture.submit("/most", BOUNDS.bytes - 1).expect("room");
    fixture.started.recv().expect("a start");
    fixture.submit("/over", 2).expect_err("too many bytes");
    let fits = fixture.submit("/fits", 1).expect("room");
    fixture.gate.add_permits(3);
    assert_eq!((most.get(), fits.get()), (200, 200));
    assert_eq!(
        fixture.submit("/most", BOUNDS.bytes).expect("room").get(),
        200
    );
}

#[test]
fn one_handler_runs_at_a_time() {
    let fixture = Fixture::new();
    let first = fixture.submit("/first", 1).expect("room");
    assert_eq!(fixture.started.recv().as_deref(), Ok("/first"));
    let second = fixture.submit("/second", 1).expect("room");
    // If there were room for the second request, it would start before a task that is spawned
    // later has run.
    for _ in 0..100 {
        fixture
            .runtime
            .block_on(fixture.runtime.spawn(tokio::task::yield_now()))
            .expect("a task");
    }
    assert!(fixture.started.try_recv().is_err());
    fixture.gate.add_permits(2);
    assert_eq!((first.get(), second.get()), (200, 200));
}

#[test]
fn a_panic_is_one_500_and_the_queue_goes_on() {
    let fixture = Fixture::new();
    fixture.gate.add_permits(1);
    for (path, status) in [("/panic", 500), ("/panic", 500), ("/fine", 200)] {
        assert_eq!(
            fixture.submit(path, BOUNDS.bytes).expect("room").get(),
            status,
            "{path}"
        );
    }
    assert_eq!(fixture.metrics.panics(), 2);
}

#[test]
fn a_stop_answers_what_was_accepted() {
    let mut fixture = Fixture::new();
    let runs = fixture.submit("/runs", 1).expect("room");
    fixture.started.recv().expect("a start");
    let waits = fixture.submit("/waits", 1).expect("room");
    fixture
        .stop
        .take()
        .expect("a stop")
        .send(())
        .expect("a listener");
    fixture.gate.add_permits(2);
    fixture.runtime.block_on(&mut fixture.run).expect("an end");
    assert_eq!((runs.get(), waits.get()), (200, 200));
    fixture.submit("/late", 1).expect_err("a stopped queue");
}
