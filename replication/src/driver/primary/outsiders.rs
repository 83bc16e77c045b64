//! Connections from addresses that `replication.allowed_addresses` does not contain. Each is closed
//! at once. The log gets at most one line about them in [`OUTSIDERS_LOG_INTERVAL_MS`], so that a
//! flood does not fill it.

use std::net::SocketAddr;

use crate::limits::OUTSIDERS_LOG_INTERVAL_MS;

/// The refused connections that the log has not told yet.
#[derive(Debug, Default)]
pub(super) struct Outsiders {
    untold: Option<Untold>,
    /// No further line before this time, in milliseconds.
    quiet_until_ms: u64,
}

/// Refused connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) count: u64,
    /// Where the last one came from.
    pub(super) last: SocketAddr,
}

impl Outsiders {
    /// Notes a connection that was refused, and logs it when it is time.
    pub(super) fn refused(&mut self, address: SocketAddr, now_ms: u64) {
        let count = self.untold.map_or(0, |untold| untold.count);
        self.untold = Some(Untold {
            count: count + 1,
            last: address,
        });
        self.on_tick(now_ms);
    }

    /// Logs what was refused since the last line, when it is time.
    pub(super) fn on_tick(&mut self, now_ms: u64) {
        if let Some(Untold { count, last }) = self.take_due(now_ms) {
            tracing::warn!(
                refused = count,
                last = %last.ip(),
                "connections for replication are refused: replication.allowed_addresses does not contain their addresses"
            );
        }
    }

    fn take_due(&mut self, now_ms: u64) -> Option<Untold> {
        if now_ms < self.quiet_until_ms {
            return None;
        }
        let untold = self.untold.take()?;
        self.quiet_until_ms = now_ms + OUTSIDERS_LOG_INTERVAL_MS;
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_a_line_each_interval_and_every_refusal_is_counted() {
        let mut outsiders = Outsiders::default();
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let mut lines = Vec::new();
        // One connection each millisecond, for two and a half intervals.
        for now_ms in 0..5 * OUTSIDERS_LOG_INTERVAL_MS / 2 {
            let count = outsiders.untold.map_or(0, |untold| untold.count);
            outsiders.untold = Some(Untold {
                count: count + 1,
                last: address(7),
            });
            lines.extend(outsiders.take_due(now_ms));
        }
        let counts: Vec<_> = lines.iter().map(|line| line.count).collect();
        let each = OUTSIDERS_LOG_INTERVAL_MS;
        assert_eq!(counts, [1, each, each]);
        // The rest is told when the interval has passed, without another refusal.
        let end = 3 * OUTSIDERS_LOG_INTERVAL_MS;
        let rest = outsiders.take_due(end).map(|untold| untold.count);
        assert_eq!(rest, Some(each / 2 - 1));
        assert_eq!(outsiders.take_due(2 * end), None);
    }
}
