//! Random histories of an engine against a model of maps.
//!
//! A history is a sequence of random steps: commands of every kind, several of them queued at once
//! so that they share a write; verifications; changes of the clock and the quota; restarts, some of
//! them on a copy of the files as a crash would leave them. After every restart and at the end the
//! test compares everything that the engine shows with the model.
//!
//! `TALOS_MODEL_SEED` sets the first seed, `TALOS_MODEL_HISTORIES` the number of histories. A
//! failure prints its seed and step; `TALOS_MODEL_SEED=… TALOS_MODEL_HISTORIES=1` repeats it.

mod admin_tokens;
mod audit;
mod bulk_revocations;
pub(super) mod commands;
pub(super) mod files;
mod outcomes;
mod state;

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use commands::Random;
use state::{Entry, Held, State};
use talos_model::Author;
use talos_model::clock::UnixMillis;

use super::*;

const HISTORIES: u64 = 60;
const STEPS: u64 = 30;
const MAX_TTL_S: u64 = 86_400;
const CLOCK_SKEW_S: u64 = 60;
/// The time at which histories begin.
const START: UnixMillis = UnixMillis(1_750_000_000_000);

/// An engine, the model of it, and the time of both.
struct History {
    random: Random,
    scratch: tempfile::TempDir,
    /// The number of copies made of the files.
    copies: u64,
    engine: Option<Arc<Engine>>,
    state: State,
    now: UnixMillis,
}

#[test]
fn random_histories_agree_with_the_model() {
    for seed in seeds(HISTORIES) {
        let mut history = History::begin(seed);
        for step in 0..STEPS {
            let _report = FailureReport { seed, step };
            history.step();
        }
        let _report = FailureReport { seed, step: STEPS };
        history.audit();
    }
}

/// The seeds of all histories, as many as `histories` unless the environment says otherwise.
pub(super) fn seeds(histories: u64) -> std::ops::Range<u64> {
    let setting = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    };
    let first = setting("TALOS_MODEL_SEED", 1);
    let count = setting("TALOS_MODEL_HISTORIES", histories);
    first..first + count
}

/// Prints seed and step if the test fails.
pub(super) struct FailureReport {
    pub(super) seed: u64,
    pub(super) step: u64,
}

impl Drop for FailureReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "step {} of the history of TALOS_MODEL_SEED={} TALOS_MODEL_HISTORIES=1",
                self.step, self.seed
            );
        }
    }
}

/// Renders everything that an answer depends on, so that an answer from an outdated record differs.
fn render(record: &Record, issuer: &str) -> Vec<u8> {
    format!("{record:?} {issuer}").into_bytes()
}

impl History {
    fn begin(seed: u64) -> Self {
        let mut history = Self {
            random: Random::new(seed),
            scratch: tempfile::tempdir().expect("a scratch directory"),
            copies: 0,
            engine: None,
            state: State::default(),
            now: START,
        };
        history.open();
        history
    }

    fn directory(&self) -> PathBuf {
        self.scratch.path().join(self.copies.to_string())
    }

    fn open(&mut self) {
        let directory = self.directory();
        let mut settings = options(&directory);
        let cache_bytes = [0, 8 << 10, 1 << 20];
        settings.cache_bytes = self.random.one_of(&cache_bytes);
        settings.shards = Some(2);
        settings.render = render;
        let keyring = Keyring::new(KeyringSettings {
            hmac_current: Secret::new("a secret".to_owned()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: "talos".to_owned(),
                retired: Vec::new(),
                public_current: Some("pub".to_owned()),
                public_retired: Vec::new(),
            },
            issuer: "issuer".to_owned(),
            max_ttl_s: MAX_TTL_S,
            clock_skew_s: CLOCK_SKEW_S,
            tokens: TokenSettings::default(),
        });
        settings.tenants = tenants(keyring);
        self.engine = Some(Engine::open(settings).expect("a database"));
        self.set_quota(None);
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("an open engine")
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=8 => self.commands(),
            9..=11 => self.verifications(),
            12 if self.random.once_in(2) => self.revoke_many(),
            12 => self.self_revocation(),
            13 => {
                let live_keys_max = self.random.below(12);
                self.set_quota((live_keys_max > 0).then_some(live_keys_max));
            }
            14 => self.let_time_pass(),
            _ => {
                match self.random.below(3) {
                    0 => self.crash(),
                    _ => self.restart(),
                }
                self.audit();
            }
        }
    }

    /// Some commands, all submitted before the first is answered.
    fn commands(&mut self) {
        let keys: Vec<_> = self.state.log.iter().filter_map(Entry::key).collect();
        let count = 1 + self.random.below(6);
        let tokens = self.state.admin_tokens_ever();
        let mut waiting: Vec<(_, Command, Receiver<_>)> = Vec::new();
        for _ in 0..count {
            let author = commands::author(&mut self.random);
            let command = commands::any(&mut self.random, &keys, &tokens);
            let receiver = self.submit(author.clone(), command.clone());
            waiting.push((author, command, receiver));
        }
        for (author, command, receiver) in waiting {
            let outcome = receiver.recv().expect("an outcome");
            self.state.apply(author, command, self.now, outcome);
        }
    }

    /// Submits a command at the time of the history.
    fn submit(
        &self,
        author: Option<Author>,
        command: Command,
    ) -> Receiver<Result<Outcome, CommandError>> {
        let (sender, receiver) = channel();
        let done = move |outcome| sender.send(outcome).expect("a receiver");
        self.engine().submit_at(author, command, self.now, done);
        receiver
    }

    fn verifications(&mut self) {
        for _ in 0..8 {
            let held = self.some_credential();
            let mode = self.random.one_of(&[
                CacheMode::Use,
                CacheMode::Use,
                CacheMode::Refresh,
                CacheMode::Bypass,
            ]);
            self.verify(&held, mode);
        }
    }

    /// A credential of an issued key, or a raw key, imported or not.
    fn some_credential(&mut self) -> Held {
        if self.state.held.is_empty() || self.random.once_in(3) {
            self.random.one_of(&audit::imported(&self.state))
        } else {
            self.random.one_of(&self.state.held)
        }
    }

    fn verify(&mut self, held: &Held, mode: CacheMode) {
        let engine = Arc::clone(self.engine());
        audit::compare_verdict(&engine, &self.state, held, mode, self.now, &mut self.random);
    }

    /// Revokes the key of a credential.
    fn self_revocation(&mut self) {
        let held = self.some_credential();
        let query = Query {
            tenant: held.tenant,
            now: self.now,
            ..query(&held.credential, CacheMode::Bypass)
        };
        let identified = self.engine().identify(&query);
        assert_eq!(identified, Ok(held.key_id), "{held:?}");
        let Ok(key_id) = identified else { return };
        let command = Command::Revoke(RevokeKey {
            tenant: held.tenant,
            key_id,
            reason: RevocationReason::Unspecified,
            description: String::new(),
        });
        let receiver = self.submit(None, command.clone());
        let outcome = receiver.recv().expect("an outcome");
        self.state.apply(None, command, self.now, outcome);
    }

    /// Puts a bulk revocation into force and waits until all records are rewritten.
    fn revoke_many(&mut self) {
        let command = commands::revoke_many(&mut self.random, self.now);
        let engine = Arc::clone(self.engine());
        let before = engine.committed().sequence;
        let receiver = self.submit(None, Command::RevokeWhere(command.clone()));
        let outcome = receiver.recv().expect("an outcome");
        while engine.bulk_revocations_in_force() > 0 {
            std::thread::yield_now();
        }
        let store = engine.store();
        let newest = store.newest_changes().expect("the log");
        let mut changes: Vec<_> = newest
            .map(|change| change.expect("a change"))
            .take_while(|change| change.position.sequence > before)
            .collect();
        changes.reverse();
        self.state.author = None;
        self.state
            .apply_revoke_where(&command, self.now, outcome, &changes);
    }

    fn set_quota(&mut self, live_keys_max: Option<u64>) {
        set_live_keys_max(self.engine(), live_keys_max);
        self.state.set_live_keys_max(live_keys_max);
    }

    /// Moves the clock: by a millisecond, or beyond the maximum age of every credential.
    fn let_time_pass(&mut self) {
        let expiries = self
            .state
            .records
            .values()
            .filter_map(|record| record.expire_time);
        let ages = self.state.held.iter().filter_map(Held::end_of_age);
        let mut ends: Vec<_> = match self.random.below(8) {
            0..=2 => expiries.chain(ages).collect(),
            3 => ages.collect(),
            _ => Vec::new(),
        };
        ends.retain(|end| *end > self.now);
        if let Some(end) = ends.into_iter().min() {
            return self.pass_instant(end);
        }
        let ms = match self.random.below(8) {
            0 => i64::try_from((MAX_TTL_S + CLOCK_SKEW_S) * 1000).expect("a day") - 5000,
            1 => 400_000,
            _ => 1,
        };
        self.now.0 += ms + i64::try_from(self.random.below(6_000)).expect("seconds");
    }

    /// Moves the clock to the millisecond in which something expires, where errors are most likely.
    /// Verifies one millisecond earlier, too, so that memory contains what was valid then.
    fn pass_instant(&mut self, end: UnixMillis) {
        let mut credentials = [self.state.held.clone(), audit::imported(&self.state)].concat();
        credentials.retain(|held| {
            let record = self.state.records.get(&(held.tenant, held.key_id));
            let expiry = record.and_then(|record| record.expire_time);
            [expiry, held.end_of_age()].contains(&Some(end))
        });
        for now in [UnixMillis(end.0 - 1), end] {
            self.now = now;
            for held in &credentials {
                self.verify(held, CacheMode::Use);
            }
        }
    }

    fn restart(&mut self) {
        if self.random.once_in(2) {
            self.engine().shutdown();
        }
        self.engine = None;
        // The wall clock may be set back while the engine is stopped.
        if self.random.once_in(4) {
            self.now.0 -= i64::try_from(self.random.below(3_000)).expect("seconds");
        }
        self.open();
    }

    /// Continues with the files as they are now, not as the engine leaves them when it closes.
    fn crash(&mut self) {
        let before = self.directory();
        self.copies += 1;
        files::copy_of_one_moment(&before, &self.directory());
        self.engine = None;
        std::fs::remove_dir_all(before).expect("the files of before");
        self.open();
    }

    fn audit(&mut self) {
        let engine = Arc::clone(self.engine());
        audit::everything(&engine, &self.state, self.now, &mut self.random);
    }
}
