//! Whether the client of a request still waits for the answer.

use tokio::sync::oneshot;

/// The client of a request, as its handler sees it.
#[derive(Debug)]
pub(crate) struct Client(oneshot::Receiver<()>);

/// Tells a handler that its client has gone. Must live as long as the handler runs.
#[derive(Debug)]
pub(crate) struct Goes(oneshot::Sender<()>);

/// Makes both ends.
pub(crate) fn channel() -> (Client, Goes) {
    let (goes, gone) = oneshot::channel();
    (Client(gone), Goes(goes))
}

impl Client {
    /// Returns when the client has gone. Cancel safe; call it no more after it has returned.
    pub(crate) async fn gone(&mut self) {
        // An error means that the handler's task is ending.
        let _ = (&mut self.0).await;
    }
}

impl Goes {
    /// The client has gone.
    pub(crate) fn tell(self) {
        // The handler may not listen.
        let _ = self.0.send(());
    }
}
