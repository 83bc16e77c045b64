//! Counts hostile clients and how they ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attack::{Attack, Breach};
use super::client::{Client, End};
use super::received::Statuses;

/// Breaches kept in words. The others are only counted.
const BREACHES_MAX: usize = 10;

/// The clients of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackRow {
    /// The kind.
    pub attack: String,
    /// Connections that were begun.
    pub connections: u64,
    /// The most connections at a time.
    pub most: usize,
    /// Bytes that the clients sent.
    pub sent_bytes: u64,
    /// Bytes that they read.
    pub read_bytes: u64,
    /// Answers that they read: successes.
    pub successes: u64,
    /// Refusals.
    pub refusals: u64,
    /// Answers of status 501 to 599.
    pub unavailable: u64,
    /// Connections that could not be made.
    pub not_connected: u64,
    /// Connections that the server closed.
    pub closed_by_server: u64,
    /// Connections that the server reset.
    pub reset: u64,
    /// Connections that the client ended.
    pub by_script: u64,
    /// Connections that the client gave up.
    pub gave_up: u64,
    /// Answers that the client should not have had.
    pub breaches: u64,
}

/// All hostile clients of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By kind, in the order of [`Attack::ALL`].
    pub rows: Vec<AttackRow>,
    /// The first few breaches in words.
    pub breaches: Vec<String>,
    /// The CPU time of the thread that plays them.
    pub cpu: Duration,
    /// How long it played them.
    pub ran: Duration,
    /// Clients that were not begun because the thread was late, or there were too many.
    pub skipped: u64,
}

impl Tally {
    /// A tally of these kinds.
    #[must_use]
    pub fn new(attacks: &[Attack]) -> Self {
        let row = |attack: &Attack| AttackRow {
            attack: attack.name().to_owned(),
            ..AttackRow::default()
        };
        Self {
            rows: attacks.iter().map(row).collect(),
            ..Self::default()
        }
    }

    /// The row of a kind.
    pub fn row(&mut self, attack: Attack) -> Option<&mut AttackRow> {
        self.rows.iter_mut().find(|row| row.attack == attack.name())
    }

    /// Counts a client that has ended.
    pub fn ended(&mut self, client: &Client, end: End) {
        let attack = client.script.attack;
        let statuses = client.received.statuses;
        let breach = breach(attack, &statuses, client.received.valid);
        let Some(row) = self.row(attack) else { return };
        row.sent_bytes += client.sent;
        row.read_bytes += client.received.bytes;
        row.successes += statuses.success;
        row.refusals += statuses.refused;
        row.unavailable += statuses.unavailable;
        *match end {
            End::NotConnected => &mut row.not_connected,
            End::ClosedByServer => &mut row.closed_by_server,
            End::Reset => &mut row.reset,
            End::ByScript => &mut row.by_script,
            End::GaveUp => &mut row.gave_up,
        } += 1;
        if let Some(what) = breach {
            row.breaches += 1;
            if self.breaches.len() < BREACHES_MAX {
                let opening = client.script.opening.get(..400);
                let opening = opening.unwrap_or(&client.script.opening).escape_ascii();
                let words = format!("{}: {what}, after: {opening}", attack.name());
                self.breaches.push(words);
            }
        }
    }

    /// Adds the clients of another round.
    pub fn add(&mut self, other: Self) {
        for (row, more) in self.rows.iter_mut().zip(other.rows) {
            row.connections += more.connections;
            row.most = row.most.max(more.most);
            row.sent_bytes += more.sent_bytes;
            row.read_bytes += more.read_bytes;
            row.successes += more.successes;
            row.refusals += more.refusals;
            row.unavailable += more.unavailable;
            row.not_connected += more.not_connected;
            row.closed_by_server += more.closed_by_server;
            row.reset += more.reset;
            row.by_script += more.by_script;
            row.gave_up += more.gave_up;
            row.breaches += more.breaches;
        }
        self.breaches.extend(other.breaches);
        self.breaches.truncate(BREACHES_MAX);
        self.cpu += other.cpu;
        self.ran += other.ran;
        self.skipped += other.skipped;
    }
}

/// Why these answers should not have been, if they should not.
fn breach(attack: Attack, statuses: &Statuses, valid: bool) -> Option<&'static str> {
    if statuses.internal > 0 {
        return Some("the server answered 500");
    }
    match attack.breach() {
        Breach::Success if statuses.success > 0 => Some("the request succeeded"),
        Breach::ValidCredential if valid => Some("a guessed credential is valid"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_are_breaches_where_nothing_may_succeed() {
        let success = Statuses {
            success: 1,
            ..Statuses::default()
        };
        let internal = Statuses {
            internal: 1,
            ..Statuses::default()
        };
        for attack in Attack::ALL {
            assert!(breach(attack, &internal, false).is_some());
            assert_eq!(breach(attack, &Statuses::default(), false), None);
            let is_breach = breach(attack, &success, false).is_some();
            assert_eq!(is_breach, attack.breach() == Breach::Success, "{attack:?}");
        }
        assert!(breach(Attack::Guessing, &success, true).is_some());
        assert!(breach(Attack::HalfClosed, &success, true).is_none());
    }
}
