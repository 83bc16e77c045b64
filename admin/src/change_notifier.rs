//! Notifies streams of new changes. One watcher of the engine serves all streams.

use talos_engine::{Engine, Watch};
use tokio::sync::watch;

/// Notifies its subscribers for as long as it exists.
pub(crate) struct ChangeNotifier {
    changed: watch::Receiver<()>,
    _watch: Watch,
}

impl ChangeNotifier {
    /// Watches `engine`; `None` when the engine has as many watchers as it may have.
    pub(crate) fn new(engine: &Engine) -> Option<Self> {
        let (sender, changed) = watch::channel(());
        // Called on the committing thread, so it must not wait.
        let watch = engine.watch(move |_| {
            sender.send_replace(());
        })?;
        Some(Self {
            changed,
            _watch: watch,
        })
    }

    /// A receiver that is notified of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        changed
    }
}
