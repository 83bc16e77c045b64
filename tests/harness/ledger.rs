//! Clients that write until the server is cut off. Each keeps the answers that it got, and checks
//! later whether they are still true.
//!
//! An acknowledged write must be there. A request without an answer may have taken effect or not,
//! but not in part: all ways to ask must agree.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection, NoAnswer};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

/// The knowledge of one client after it was cut off.
#[derive(Debug, Default)]
pub struct Ledger {
    keys: Vec<Acknowledged>,
    /// The body of an issue without an answer.
    unheard_issue: Option<Value>,
}

/// An acknowledged key.
#[derive(Debug)]
struct Acknowledged {
    issued: Issued,
    revocation: Revocation,
}

/// What is known of a key's revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revocation {
    NotAsked,
    Unheard,
    Acknowledged,
}

/// The progress of the clients, for the scenario to watch.
#[derive(Debug)]
pub struct Progress {
    clients: usize,
    /// The number of clients with an acknowledged write.
    writing: AtomicUsize,
    /// The number of acknowledged writes, over all clients.
    acknowledged: AtomicUsize,
}

impl Progress {
    /// Waits until every client has an acknowledged write, and there are this many in total.
    pub fn wait_for(&self, writes: usize) {
        let reached = || {
            self.writing.load(Ordering::Relaxed) == self.clients
                && self.acknowledged.load(Ordering::Relaxed) >= writes
        };
        for _ in 0..60_000 {
            if reached() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("not {writes} writes in a minute: {self:?}");
    }
}

/// Issues keys, and revokes every other one, until a request is not acknowledged. `name` must be
/// unique among all clients that ever wrote to this database, and at most 20 characters.
fn write_until_cut_off(address: SocketAddr, name: &str, progress: &Progress) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(mut connection) = Connection::try_open(address) else {
        return ledger;
    };
    for number in 0.. {
        let request_id = format!("{name}-{number}");
        let body = json!({"name": name, "actor_id": "writer", "scopes": ["a", "b"], "request_id": request_id});
        match post(&mut connection, ISSUE, &body) {
            Ok(answer) if answer.status == 201 => {
                let issued = Issued::from(&answer);
                ledger.keys.push(Acknowledged {
                    issued,
                    revocation: Revocation::NotAsked,
                });
            }
            _ => {
                ledger.unheard_issue = Some(body);
                break;
            }
        }
        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            progress.writing.fetch_add(1, Ordering::Relaxed);
        }
        if number % 2 == 0 {
            continue;
        }
        // Revokes an older key, which has been in the cache, or has left the write buffer.
        let middle = ledger.keys.len() / 2;
        let Some(key) = ledger
            .keys
            .iter_mut()
            .skip(middle)
            .find(|key| key.revocation == Revocation::NotAsked)
        else {
            continue;
        };
        let path = format!("{ISSUE}/{}:revoke", key.issued.key_id);
        match post(
            &mut connection,
            &path,
            &json!({"reason": "REVOCATION_REASON_KEY_COMPROMISE"}),
        ) {
            Ok(answer) if answer.status == 204 => key.revocation = Revocation::Acknowledged,
            _ => {
                key.revocation = Revocation::Unheard;
                break;
            }
        }
        progress.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    ledger
}

fn post(connection: &mut Connection, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
    connection.exchange(&talos_test_kit::http::request(
        "POST",
        path,
        &[],
        body.to_string().as_bytes(),
    ))
}

/// Runs `clients` writers at the same time while `disturb` runs, and returns their ledgers.
pub fn write_from(
    clients: usize,
    address: SocketAddr,
    round: &str,
    disturb: impl FnOnce(&Progress),
) -> Vec<Ledger> {
    let progress = Progress {
        clients,
        writing: AtomicUsize::new(0),
        acknowledged: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        let progress = &progress;
        let writing: Vec<_> = (0..clients)
            .map(|client| {
                let name = format!("{round}-{client}");
                scope.spawn(move || write_until_cut_off(address, &name, progress))
            })
            .collect();
        disturb(progress);
        writing
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

impl Ledger {
    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        let revoked = self
            .keys
            .iter()
            .filter(|key| key.revocation == Revocation::Acknowledged);
        self.keys.len() + revoked.count()
    }

    /// Asserts that every acknowledged write is there, and that none is half applied. Finds out
    /// what became of requests without an answer, so that a later check of this ledger is stricter.
    pub fn check(&mut self, connection: &mut Connection) {
        for key in &mut self.keys {
            key.check(connection);
        }
        if let Some(body) = self.unheard_issue.take() {
            check_unheard_issue(connection, &body);
        }
    }
}

impl Acknowledged {
    fn check(&mut self, connection: &mut Connection) {
        let Issued { key_id, secret } = &self.issued;
        let resource = connection.get(key_id);
        let revoked = resource["status"] == "KEY_STATUS_REVOKED";
        match self.revocation {
            Revocation::NotAsked => assert!(!revoked, "revoked by nobody: {resource}"),
            Revocation::Acknowledged => {
                assert!(revoked, "an acknowledged revocation is lost: {resource}");
            }
            Revocation::Unheard if revoked => self.revocation = Revocation::Acknowledged,
            Revocation::Unheard => self.revocation = Revocation::NotAsked,
        }
        // The first answer comes from storage, the second fills the cache, the third comes from it.
        for headers in [[("Cache-Control", "no-store")].as_slice(), &[], &[]] {
            let verdict = connection.verify_with(secret, headers);
            if revoked {
                assert_refused(&verdict, "REVOKED");
            } else {
                assert_valid(&verdict, key_id);
            }
        }
    }
}

/// Repeats an issue whose answer was lost. If the first attempt took effect, the key is complete
/// and the repetition returns it: with its secret if this node knows that its answer was not sent.
/// If not, the repetition issues it.
fn check_unheard_issue(connection: &mut Connection, body: &Value) {
    let answer = connection.post(ISSUE, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let repeated = answer.json();
    let key = &repeated["issued_api_key"];
    assert_eq!(connection.get(key["key_id"].as_str().unwrap()), *key);
    assert_eq!(
        (&key["name"], &key["scopes"], &key["status"]),
        (
            &body["name"],
            &json!(["a", "b"]),
            &json!("KEY_STATUS_ACTIVE")
        )
    );
    if let Some(secret) = repeated["secret"].as_str() {
        assert_valid(&connection.verify(secret), key["key_id"].as_str().unwrap());
    }
}

/// Checks all ledgers over one connection.
pub fn check_all(ledgers: &mut [Ledger], address: SocketAddr) {
    let mut connection = Connection::open(address);
    for ledger in ledgers {
        ledger.check(&mut connection);
    }
}
