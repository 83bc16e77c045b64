//! Tells streams that there are new changes: one watcher of the engine for all of them.

use talos_engine::{Engine, Watch};
use tokio::sync::watch;

/// As long as this lives, its receivers are told.
pub(crate) struct News {
    told: watch::Receiver<()>,
    _watch: Watch,
}

impl News {
    /// Watches `engine`; `None` when too many do already.
    pub(crate) fn of(engine: &Engine) -> Option<Self> {
        let (tell, told) = watch::channel(());
        // On the committing thread: it wakes, and waits for nobody.
        let watch = engine.watch(move |_| {
            tell.send_replace(());
        })?;
        Some(Self {
            told,
            _watch: watch,
        })
    }

    /// From now on learns of new changes.
    pub(crate) fn follow(&self) -> watch::Receiver<()> {
        let mut told = self.told.clone();
        told.mark_unchanged();
        told
    }
}
