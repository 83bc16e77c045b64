//! Makes the keys of a run: issues, imports, revokes, derives.

pub mod counts;
mod parallel;

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use self::parallel::Job;
use crate::admin_api::{AdminApi, ImportResult, ImportedKey, Issued, text_at};
use crate::class::{Class, Shares};
use crate::corpus::{Corpus, Revoked, Sizes};
use crate::derived::{self, Family};
use crate::error::LoadError;
use crate::packed::Packed;
use crate::target::Target;
use crate::verdict::{Actor, Expected};

/// Connections while keys are made one by one. The server commits the keys of all connections
/// together.
const CONNECTIONS: u32 = 64;
/// Connections while keys are imported in batches.
const BATCH_CONNECTIONS: u32 = 4;
/// Keys in a batch: the most that the server accepts.
const BATCH: u32 = 1000;
/// Issued keys that tokens are derived from.
const PARENTS: u32 = 16;
/// Keys of each class that are verified before a run that makes none.
const CHECKED: u32 = 200;

/// Whether a run makes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It does. Imported keys that exist already count as made.
    Make,
    /// An earlier run has made them, with the same seed and sizes.
    Reuse,
}

/// Makes keys on a server.
#[derive(Debug)]
pub struct Seeder<'a> {
    /// The server.
    pub target: &'a Target,
    /// What imported credentials are computed from.
    pub seed: u64,
    /// Ends the work early.
    pub interrupted: &'a AtomicBool,
}

/// Issued keys by number.
#[derive(Default)]
struct IssuedKeys {
    secrets: Packed,
    ids: Vec<String>,
}

impl IssuedKeys {
    fn set(&mut self, number: u32, key: Issued) -> Result<(), LoadError> {
        set_at(&mut self.ids, number, key.key_id);
        let kept = self.secrets.set(number, &key.secret);
        kept.ok_or(LoadError::OddSecret)
    }
}

impl Seeder<'_> {
    /// Makes the keys, or checks that they exist.
    ///
    /// # Errors
    /// When the server refuses, a connection breaks, keys are missing, or the run is interrupted.
    pub fn seed(&self, keys: Keys, sizes: &Sizes, shares: &Shares) -> Result<Corpus, LoadError> {
        let mut corpus = Corpus::derived(self.seed, sizes.clone());
        match keys {
            Keys::Make => self.make(&mut corpus, shares)?,
            Keys::Reuse => self.check(&corpus)?,
        }
        let tokens = sizes.jwt.max(sizes.macaroon);
        if tokens > 0 {
            let count = PARENTS.min(tokens);
            let parents = self.issue(count, |_| "load-parent".to_owned())?.secrets;
            corpus.jwt = self.derive(&parents, sizes.jwt, "TOKEN_ALGORITHM_JWT")?;
            corpus.macaroon = self.derive(&parents, sizes.macaroon, "TOKEN_ALGORITHM_MACAROON")?;
        }
        Ok(corpus)
    }

    fn make(&self, corpus: &mut Corpus, shares: &Shares) -> Result<(), LoadError> {
        let sizes = &corpus.sizes;
        self.import(Family::Imported, sizes.imported)?;
        if shares.valid > 0 {
            let valid = self.issue(sizes.valid, |number| Actor::Issued(number).id())?;
            let revoked = self.issue(sizes.revoked, |_| "load-revoked".to_owned())?;
            self.revoke(&revoked.ids)?;
            corpus.issued = valid.secrets;
            corpus.revoked = Revoked::Issued(revoked.secrets);
            Ok(())
        } else {
            let ids = self.import(Family::ImportedRevoked, sizes.revoked)?;
            self.revoke(&ids)
        }
    }

    /// Issues keys for these actors.
    fn issue(
        &self,
        count: u32,
        actor: impl Fn(u32) -> String + Sync,
    ) -> Result<IssuedKeys, LoadError> {
        if count == 0 {
            return Ok(IssuedKeys::default());
        }
        // The first key tells how much room a secret takes.
        let mut api = self.api();
        self.turn_to(&mut api, 0);
        let first = api.issue(&actor(0))?;
        let mut keys = IssuedKeys {
            secrets: Packed::for_texts_like(&first.secret, count),
            ids: no_ids(count),
        };
        keys.set(0, first)?;
        let keys = Mutex::new(keys);
        let job = Job {
            doing: "issuing keys",
            items: 1..count,
            batch: 1,
            workers: CONNECTIONS,
        };
        self.run(job, |api, numbers| {
            for number in numbers {
                self.turn_to(api, number);
                let key = api.issue(&actor(number))?;
                let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                keys.set(number, key)?;
            }
            Ok(())
        })?;
        Ok(keys.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Imports a family. Returns the ids by number of keys that are to be revoked, and of others
    /// none. An id is empty if an earlier run has revoked its key.
    fn import(&self, family: Family, count: u32) -> Result<Vec<String>, LoadError> {
        let needs_ids = family == Family::ImportedRevoked;
        let ids = Mutex::new(no_ids(if needs_ids { count } else { 0 }));
        // The keys of a batch belong to one tenant.
        let (batch, workers) = if self.target.hosts.differ() {
            (1, CONNECTIONS)
        } else {
            (BATCH, BATCH_CONNECTIONS)
        };
        let job = Job {
            doing: "importing keys",
            items: 0..count,
            batch,
            workers,
        };
        self.run(job, |api, numbers| {
            self.turn_to(api, numbers.start);
            let key = |number| ImportedKey {
                raw_key: derived::text(self.seed, family, u64::from(number)),
                actor_id: if needs_ids {
                    "load-revoked".to_owned()
                } else {
                    Actor::Imported(number).id()
                },
            };
            let reply = api.import(numbers.clone().map(key))?;
            if !needs_ids && reply.is_complete() {
                return Ok(());
            }
            let mut results = reply.results()?.into_iter();
            for number in numbers {
                let new_id = match results.next() {
                    Some(ImportResult::Imported { key_id }) => key_id,
                    _ if needs_ids => id_unless_revoked(api, &key(number).raw_key)?,
                    _ => String::new(),
                };
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                set_at(&mut ids, number, new_id);
            }
            Ok(())
        })?;
        Ok(ids.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Revokes keys. Skips ids that are empty.
    fn revoke(&self, ids: &[String]) -> Result<(), LoadError> {
        let job = Job {
            doing: "revoking keys",
            items: 0..u32::try_from(ids.len()).unwrap_or(u32::MAX),
            batch: 1,
            workers: CONNECTIONS,
        };
        self.run(job, |api, numbers| {
            for number in numbers {
                let id = usize::try_from(number)
                    .ok()
                    .and_then(|index| ids.get(index));
                if let Some(id) = id.filter(|id| !id.is_empty()) {
                    self.turn_to(api, number);
                    api.revoke(id)?;
                }
            }
            Ok(())
        })
    }

    fn derive(
        &self,
        parents: &Packed,
        count: u32,
        algorithm: &'static str,
    ) -> Result<Vec<Box<str>>, LoadError> {
        let tokens = Mutex::new(Vec::with_capacity(usize::try_from(count).unwrap_or(0)));
        let job = Job {
            doing: "deriving tokens",
            items: 0..count,
            batch: 1,
            workers: CONNECTIONS,
        };
        self.run(job, |api, numbers| {
            for number in numbers {
                let mut parent = Vec::new();
                parents.append(number % PARENTS.min(count), &mut parent);
                let token = api.derive(&String::from_utf8_lossy(&parent), algorithm)?;
                let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
                tokens.push(token.into_boxed_str());
            }
            Ok(())
        })?;
        Ok(tokens.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Verifies some keys of an earlier run.
    fn check(&self, corpus: &Corpus) -> Result<(), LoadError> {
        let mut api = self.api();
        for (class, count) in [
            (Class::Imported, corpus.sizes.imported),
            (Class::Revoked, corpus.sizes.revoked),
        ] {
            let step = (count / CHECKED).max(1);
            let last = count.checked_sub(1);
            for number in (0..count)
                .step_by(usize::try_from(step).unwrap_or(1))
                .chain(last)
            {
                let mut credential = Vec::new();
                let expected = if class == Class::Imported {
                    corpus.append_imported(number, &mut credential);
                    Expected::Actor(Actor::Imported(number))
                } else {
                    corpus.append_revoked(number, &mut credential);
                    Expected::Revoked
                };
                self.turn_to(&mut api, number);
                let answer = api.verify(&String::from_utf8_lossy(&credential))?;
                if !expected.allows(&answer.body) {
                    return Err(LoadError::NotSeeded {
                        class: class.name(),
                        number,
                        answer: answer.text(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Sends what follows to the tenant of the key with this number.
    fn turn_to(&self, api: &mut AdminApi<'_>, key: u32) {
        api.set_host(self.target.hosts.of(key));
    }

    fn api(&self) -> AdminApi<'_> {
        AdminApi::new(self.target.client(), self.interrupted)
    }

    fn run(
        &self,
        job: Job,
        work: impl Fn(&mut AdminApi<'_>, Range<u32>) -> Result<(), LoadError> + Sync,
    ) -> Result<(), LoadError> {
        job.run(self.interrupted, || self.api(), work)
    }
}

/// The id of a key that an earlier run has imported. Empty if that run has revoked it, too.
fn id_unless_revoked(api: &mut AdminApi<'_>, credential: &str) -> Result<String, LoadError> {
    let answer = api.verify(credential)?.json();
    if answer.get("is_valid") == Some(&Value::Bool(true)) {
        Ok(text_at(&answer, "/key_id").unwrap_or_default())
    } else {
        Ok(String::new())
    }
}

fn no_ids(count: u32) -> Vec<String> {
    vec![String::new(); usize::try_from(count).unwrap_or(0)]
}

fn set_at(ids: &mut [String], number: u32, id: String) {
    let place = usize::try_from(number)
        .ok()
        .and_then(|index| ids.get_mut(index));
    if let Some(place) = place {
        *place = id;
    }
}
