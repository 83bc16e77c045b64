//! The queues between the data plane and the handlers, one for each [`Lane`].
//!
//! Guarantees: submitting never waits; waiting requests, their bytes and running handlers are
//! bounded in each lane; a panic ends only one request; a handler learns when its client has gone;
//! a stop answers every request that was accepted before it.

use std::future::poll_fn;
use std::sync::Arc;

use talos_api::control::{ControlPlane, ControlRequest, ControlResponse, Overloaded, Reply, Task};
use talos_api::error::ApiError;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::bounds::Bounds;
use crate::client::{self, Client};
use crate::lane::{Lane, PerLane};
use crate::metrics::{ControlMetrics, RequestTimer};
use crate::panic_guard;

/// One accepted request.
struct Job {
    request: ControlRequest,
    reply: Reply,
    /// The permits for the bytes of its body, returned when the request is answered.
    bytes: OwnedSemaphorePermit,
    timer: RequestTimer,
}

/// Puts requests into the queue of one lane.
struct LaneSender {
    jobs: mpsc::Sender<Job>,
    bytes: Arc<Semaphore>,
}

/// Puts requests into the queues.
pub(crate) struct QueueSender {
    lanes: PerLane<LaneSender>,
    metrics: Arc<ControlMetrics>,
    runtime: Handle,
}

impl ControlPlane for QueueSender {
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded> {
        let lane = self.lanes.of(Lane::of(request.endpoint));
        let bytes = u32::try_from(request.body.len()).map_err(|_| Overloaded)?;
        let bytes = Arc::clone(&lane.bytes)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Overloaded)?;
        let timer = self.metrics.start_request(&request);
        lane.jobs
            .try_send(Job {
                request,
                reply,
                bytes,
                timer,
            })
            .map_err(|_| Overloaded)
    }

    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }
}

/// Takes requests from the queue of one lane.
struct LaneWorker {
    jobs: mpsc::Receiver<Job>,
    running: Arc<Semaphore>,
    running_max: u32,
}

/// Takes requests from the queues and runs their handlers.
pub(crate) struct QueueWorker {
    lanes: PerLane<LaneWorker>,
    metrics: Arc<ControlMetrics>,
}

/// Makes queues that count in `metrics`. Tasks that only wait run on `runtime`.
pub(crate) fn new(
    bounds: PerLane<Bounds>,
    metrics: Arc<ControlMetrics>,
    runtime: Handle,
) -> (QueueSender, QueueWorker) {
    let lanes = bounds.map(|bounds| {
        let (jobs, receiver) = mpsc::channel(bounds.waiting);
        let sender = LaneSender {
            jobs,
            bytes: Arc::new(Semaphore::new(bounds.bytes)),
        };
        let worker = LaneWorker {
            jobs: receiver,
            running: Arc::new(Semaphore::new(bounds.running as usize)),
            running_max: bounds.running,
        };
        (sender, worker)
    });
    let (senders, workers) = lanes.unzip();
    let sender = QueueSender {
        lanes: senders,
        metrics: Arc::clone(&metrics),
        runtime,
    };
    let worker = QueueWorker {
        lanes: workers,
        metrics,
    };
    (sender, worker)
}

impl QueueWorker {
    /// Handles each request in a task of its own until `stop` is sent or dropped. Then refuses new
    /// requests and returns when all accepted ones are answered.
    pub(crate) async fn run<H, F>(self, handler: H, stop: oneshot::Receiver<()>)
    where
        H: Fn(ControlRequest, Client) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ControlResponse> + Send + 'static,
    {
        let (stopping, _) = watch::channel(());
        let mut lanes = JoinSet::new();
        for lane in self.lanes.into_values() {
            let (handler, metrics) = (handler.clone(), Arc::clone(&self.metrics));
            lanes.spawn(lane.run(handler, metrics, stopping.subscribe()));
        }
        // A sender that was dropped is a stop as well.
        let _ = stop.await;
        drop(stopping);
        while lanes.join_next().await.is_some() {}
    }
}

impl LaneWorker {
    async fn run<H, F>(
        mut self,
        handler: H,
        metrics: Arc<ControlMetrics>,
        mut stop: watch::Receiver<()>,
    ) where
        H: Fn(ControlRequest, Client) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ControlResponse> + Send + 'static,
    {
        let mut stopping = false;
        // The permit is acquired first, so that a request waits in the bounded queue and not in a
        // task.
        while let Ok(permit) = Arc::clone(&self.running).acquire_owned().await {
            let job = tokio::select! {
                biased;
                _ = stop.changed(), if !stopping => {
                    stopping = true;
                    self.jobs.close();
                    continue;
                }
                job = self.jobs.recv() => job,
            };
            let Some(job) = job else { break };
            let (handler, metrics) = (handler.clone(), Arc::clone(&metrics));
            tokio::spawn(async move {
                answer(job, handler, &metrics).await;
                drop(permit);
            });
        }
        // Waits until no handler runs. The semaphore is never closed, so this cannot fail.
        drop(self.running.acquire_many(self.running_max).await);
    }
}

async fn answer<H, F>(job: Job, handler: H, metrics: &ControlMetrics)
where
    H: Fn(ControlRequest, Client) -> F,
    F: Future<Output = ControlResponse>,
{
    let Job {
        request,
        mut reply,
        bytes,
        timer,
    } = job;
    let request_id = request.request_id.clone();
    let (client, goes) = client::channel();
    // The handler is called inside the future, so that the guard also catches a panic before the
    // first await.
    let handling = panic_guard::run(async { handler(request, client).await });
    tokio::pin!(handling);
    let response = tokio::select! {
        biased;
        response = &mut handling => response,
        () = poll_fn(|context| reply.poll_gone(context)) => {
            goes.tell();
            handling.await
        }
    };
    let response = response.unwrap_or_else(|panic_guard::Panicked| {
        metrics.handler_panicked();
        tracing::error!(
            request_id,
            "a control plane handler panicked; the request is answered with 500"
        );
        ApiError::internal().into()
    });
    drop(bytes);
    timer.answered(response.status);
    reply.answer(response);
}

#[cfg(test)]
mod tests {
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
        fn answer(self: Box<Self>, _: ControlResponse) {}

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
}
