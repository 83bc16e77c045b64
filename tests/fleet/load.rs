//! Writes and verifications while faults happen to a fleet. These rules hold for every verdict:
//!
//! 1. Once a revocation that waits for all replicas is acknowledged, no ready node accepts the key.
//! 2. A node that is ready does not accept a key whose revocation was acknowledged longer ago than
//!    the staleness bound.
//! 3. A node that answers at the position of an issue or of a revocation takes that change into
//!    account.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use talos_test_kit::keys::{ISSUE, VERIFY};

use super::node::{Answer, Key, Node, key_of};

/// Pseudo-random numbers from a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // xorshift64* (Vigna 2016)
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// What the ledger knows about a key.
#[derive(Clone, Debug)]
pub struct Known {
    pub key: Key,
    /// The position of its issue.
    pub issued: String,
    pub revoked: Option<Revoked>,
}

#[derive(Clone, Debug)]
pub struct Revoked {
    /// When the revocation was acknowledged, and its position. `None` if it was only requested.
    pub acknowledged: Option<(Instant, String)>,
    /// Whether the revocation waited for all replicas.
    pub everywhere: bool,
}

/// The acknowledged writes, and the violations found.
#[derive(Default)]
pub struct Ledger {
    pub keys: Mutex<Vec<Known>>,
    pub wrong: Mutex<Vec<String>>,
    /// No thread writes or verifies while this is set.
    pub paused: AtomicBool,
    pub ended: AtomicBool,
    pub verdicts: AtomicU64,
    pub writes: AtomicU64,
    pub refused_writes: AtomicU64,
    busy: AtomicU64,
}

impl Ledger {
    /// Stops all threads after their current request.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        while self.busy.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn go_on(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    #[track_caller]
    pub fn assert_right(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn note_wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Runs `act` again and again until the end.
    fn repeat(&self, mut act: impl FnMut()) {
        while !self.ended.load(Ordering::SeqCst) {
            self.busy.fetch_add(1, Ordering::SeqCst);
            if !self.paused.load(Ordering::SeqCst) {
                act();
            }
            self.busy.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Issues and revokes keys at a primary until the end.
    pub fn write(&self, primary: &Client, seed: u64) {
        let mut dice = Dice::new(seed);
        self.repeat(|| {
            let revokes = dice.below(2) == 0;
            let open = self.pick(&mut dice, |known| known.revoked.is_none());
            match open.filter(|_| revokes) {
                Some((place, known)) => self.revoke(primary, place, &known.key, dice.below(3) == 0),
                None => self.issue(primary),
            }
        });
    }

    fn count(&self, answer: Option<&Answer>, status: u16) {
        let counter = match answer {
            Some(answer) if answer.status == status => &self.writes,
            _ => &self.refused_writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn issue(&self, primary: &Client) {
        let body = json!({"name": "k", "actor_id": "tester"});
        let answer = primary.try_ask("POST", ISSUE, &[], &body);
        self.count(answer.as_ref(), 201);
        if let Some(answer) = answer.filter(|answer| answer.status == 201) {
            self.keys.lock().unwrap().push(Known {
                key: key_of(&answer),
                issued: answer.position(),
                revoked: None,
            });
        }
    }

    pub fn revoke(&self, primary: &Client, place: usize, key: &Key, everywhere: bool) {
        // From now on the revocation may take effect, whether or not it is acknowledged.
        self.keys.lock().unwrap()[place].revoked = Some(Revoked {
            acknowledged: None,
            everywhere,
        });
        let wait = if everywhere { "?wait=replicas" } else { "" };
        let path = format!("/v2alpha1/admin/apiKeys/{}:revoke{wait}", key.id);
        let answer = primary.try_ask("POST", &path, &[], &json!({}));
        self.count(answer.as_ref(), 204);
        if let Some(answer) = answer.filter(|answer| answer.status == 204) {
            self.keys.lock().unwrap()[place].revoked = Some(Revoked {
                acknowledged: Some((Instant::now(), answer.position())),
                everywhere,
            });
        }
    }

    /// A random key; recent ones are likelier.
    fn pick(&self, dice: &mut Dice, wanted: impl Fn(&Known) -> bool) -> Option<(usize, Known)> {
        let keys = self.keys.lock().unwrap();
        let recent = keys.len().min(64) as u64;
        for _ in 0..16 {
            let back = match dice.below(4) {
                0 => dice.below(keys.len().max(1) as u64),
                _ => dice.below(recent.max(1)),
            };
            let place = keys.len().checked_sub(1 + usize::try_from(back).unwrap())?;
            if wanted(&keys[place]) {
                return Some((place, keys[place].clone()));
            }
        }
        None
    }

    /// Verifies keys at a node until the end.
    pub fn question(&self, node: &Client, max_staleness: Duration, seed: u64) {
        let mut dice = Dice::new(seed);
        self.repeat(|| {
            let Some((place, _)) = self.pick(&mut dice, |_| true) else {
                return;
            };
            if dice.below(2) == 0 {
                self.ask_at_its_position(node, place);
            } else {
                self.ask(node, place, max_staleness);
            }
        });
    }

    /// Rules 1 and 2.
    fn ask(&self, node: &Client, place: usize, max_staleness: Duration) {
        let was_ready_at = Instant::now();
        let was_ready = node.is_ready();
        let known = self.keys.lock().unwrap()[place].clone();
        let Some(accepts) = node.accepts(&known.key, &[]) else {
            return;
        };
        self.verdicts.fetch_add(1, Ordering::Relaxed);
        let Some(Revoked {
            acknowledged: Some((at, position)),
            everywhere,
        }) = known.revoked
        else {
            return;
        };
        if !accepts {
            return;
        }
        if everywhere && was_ready && at <= was_ready_at {
            self.note_wrong(format!(
                "{} accepts {} although its revocation at {position} was acknowledged everywhere",
                node.name, known.key.id
            ));
        }
        if was_ready && was_ready_at.saturating_duration_since(at) > max_staleness {
            self.note_wrong(format!(
                "{} was ready {:?} after the revocation of {} at {position}, which it accepts",
                node.name,
                was_ready_at - at,
                known.key.id
            ));
        }
    }

    /// Rule 3.
    fn ask_at_its_position(&self, node: &Client, place: usize) {
        let known = self.keys.lock().unwrap()[place].clone();
        let (position, wanted) = match &known.revoked {
            None => (known.issued.clone(), true),
            Some(Revoked {
                acknowledged: Some((_, position)),
                ..
            }) => (position.clone(), false),
            // It is unknown whether the key was revoked.
            Some(_) => return,
        };
        let accepts = node.accepts(&known.key, &[("Talos-Min-Position", &position)]);
        let Some(accepts) = accepts else { return };
        self.verdicts.fetch_add(1, Ordering::Relaxed);
        // The key may have been revoked in the meantime.
        let is_same = self.keys.lock().unwrap()[place].revoked.is_none() == known.revoked.is_none();
        if accepts != wanted && (is_same || accepts) {
            self.note_wrong(format!(
                "{} says {accepts} of {} at {position}, where it was {wanted}",
                node.name, known.key.id
            ));
        }
    }

    /// Asserts that the node has every acknowledged write.
    #[track_caller]
    pub fn assert_kept(&self, node: &Node) {
        let client = Client::of(node);
        for known in self.keys.lock().unwrap().iter() {
            let accepts = client.accepts(&known.key, &[]).expect("a verdict");
            match &known.revoked {
                None => assert!(accepts, "{} lost the issue of {known:?}", node.name),
                Some(Revoked {
                    acknowledged: Some(_),
                    ..
                }) => assert!(!accepts, "{} lost the revocation of {known:?}", node.name),
                Some(_) => {}
            }
        }
    }
}

/// A client's view of a node, which may be down.
#[derive(Clone)]
pub struct Client {
    pub name: String,
    socket: std::path::PathBuf,
}

impl Client {
    pub fn of(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            socket: node.socket(),
        }
    }

    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Answer> {
        super::node::ask(&self.socket, method, path, headers, body)
    }

    pub fn is_ready(&self) -> bool {
        let answer = self.try_ask("GET", "/health/ready", &[], &Value::Null);
        answer.is_some_and(|answer| answer.status == 200)
    }

    /// The verdict, if there is one.
    pub fn accepts(&self, key: &Key, headers: &[(&str, &str)]) -> Option<bool> {
        let body = json!({"credential": key.secret});
        let answer = self.try_ask("POST", VERIFY, headers, &body)?;
        if answer.status != 200 {
            return None;
        }
        answer.body["is_valid"].as_bool()
    }
}
