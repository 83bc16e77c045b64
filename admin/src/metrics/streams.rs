//! Streams that are being sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use talos_metrics::Exposition;

/// What a stream sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// Changes as they happen.
    Changes,
    /// A backup.
    Backup,
}

impl StreamKind {
    const ALL: [Self; 2] = [Self::Changes, Self::Backup];

    const fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Backup => "backup",
        }
    }
}

/// How many streams of each kind are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    changes: AtomicU64,
    backup: AtomicU64,
}

impl Streams {
    fn open(&self, kind: StreamKind) -> &AtomicU64 {
        match kind {
            StreamKind::Changes => &self.changes,
            StreamKind::Backup => &self.backup,
        }
    }

    /// Writes the gauge.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let mut streams = page.gauge(
            "talos_streams_open",
            "Answers that are being sent part by part, by what they hold.",
        );
        for kind in StreamKind::ALL {
            let count = self.open(kind).load(Relaxed);
            streams.sample(&[("kind", kind.name())], count);
        }
    }
}

/// Counts a stream as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream {
    kind: StreamKind,
    streams: Arc<Streams>,
}

impl OpenStream {
    pub(super) fn new(kind: StreamKind, streams: &Arc<Streams>) -> Self {
        streams.open(kind).fetch_add(1, Relaxed);
        Self {
            kind,
            streams: Arc::clone(streams),
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.open(self.kind).fetch_sub(1, Relaxed);
    }
}
