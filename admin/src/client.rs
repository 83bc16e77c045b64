//! Whether the client of a request still waits for the answer, and whether it got one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The client of a request, as its handler sees it.
#[derive(Debug)]
pub(crate) struct Client {
    gone: oneshot::Receiver<()>,
    receipt: Receipt,
}

/// Tells a handler that its client has gone. Must live as long as the handler runs.
#[derive(Debug)]
pub(crate) struct Goes(oneshot::Sender<()>);

/// What to do once the client has got what it asked for. Dropped if the request fails or the client
/// has gone.
#[derive(Clone, Default)]
pub(crate) struct Receipt(Arc<Mutex<Option<Action>>>);

type Action = Box<dyn FnOnce() + Send>;

/// Makes both ends.
pub(crate) fn channel() -> (Client, Goes) {
    let (goes, gone) = oneshot::channel();
    let receipt = Receipt::default();
    (Client { gone, receipt }, Goes(goes))
}

impl Client {
    /// Returns when the client has gone. Cancel safe; call it no more after it has returned.
    pub(crate) async fn gone(&mut self) {
        // An error means that the handler's task is ending.
        let _ = (&mut self.gone).await;
    }

    /// What to do once the client has its answer.
    pub(crate) fn receipt(&self) -> Receipt {
        self.receipt.clone()
    }
}

impl Goes {
    /// The client has gone.
    pub(crate) fn tell(self) {
        // The handler may not listen.
        let _ = self.0.send(());
    }
}

impl Receipt {
    /// Does `action` once the client has its answer, and drops it if the client does not get one.
    pub(crate) fn when_sent(&self, action: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    }

    fn take(&self) -> Option<Action> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client has its answer.
    pub(crate) fn sent(&self) {
        if let Some(action) = self.take() {
            action();
        }
    }

    /// The client does not get what it asked for.
    pub(crate) fn not_sent(&self) {
        drop(self.take());
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}
