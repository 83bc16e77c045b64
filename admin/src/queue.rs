//! The queues between the data plane and the handlers, one for each [`Lane`].
//!
//! Guarantees: submitting never waits; waiting requests, their bytes and running handlers are
//! bounded in each lane; a panic ends only one request; a handler learns when its client has gone;
//! a stop answers every request that was accepted before it.

use std::future::poll_fn;
use std::sync::Arc;

use talos_api::control::{
    ControlPlane, ControlRequest, ControlResponse, Delivery, Overloaded, Reply, Task,
};
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
    let receipt = client.receipt();
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
    if response.status >= 300 {
        // Before the answer: the client may repeat its request at once.
        receipt.not_sent();
    }
    match reply.answer(response) {
        Delivery::Taken => receipt.sent(),
        Delivery::ClientGone => receipt.not_sent(),
    }
}

#[cfg(test)]
mod tests;
