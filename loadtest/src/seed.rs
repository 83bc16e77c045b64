//! Makes the keys of a run: issues, imports, revokes, derives.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::class::{Class, Shares};
use crate::client::{Client, Reply};
use crate::corpus::{Corpus, Revoked, Sizes};
use crate::derived::{self, Family};
use crate::error::LoadError;
use crate::packed::Packed;
use crate::progress::Progress;
use crate::target::Target;
use crate::verdict::{Actor, Expected};

/// Connections while keys are made one by one; the server makes the keys of all of them durable together.
const CONNECTIONS: u32 = 64;
/// Connections while keys are imported in batches.
const BATCH_CONNECTIONS: u32 = 4;
/// Keys in a batch: the most that the server takes.
const BATCH: u32 = 1000;
/// Issued keys that tokens are derived from.
const PARENTS: u32 = 16;
/// Keys that are looked at before a run that makes none.
const LOOKED_AT: u32 = 200;
/// How often a request is sent again to a server that is too busy.
const TRIES: u32 = 200;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Divides `keys` by the shares; every class with a share gets at least one. Keys that no share asks for are imported, so
/// that they are there. `tokens` of each kind are derived, if the shares have any.
#[must_use]
pub fn divide(keys: u32, tokens: u32, shares: &Shares) -> Sizes {
    let part = |of: u32, share: u32, total: u32| {
        let part = u64::from(of) * u64::from(share) / u64::from(total.max(1));
        u32::try_from(part).unwrap_or(of).max(u32::from(share > 0))
    };
    let wants_valid = shares.valid + shares.imported + shares.batch > 0;
    let revoked = if shares.revoked > 0 && !wants_valid && shares.total() == shares.revoked {
        keys
    } else {
        part(keys, shares.revoked, shares.total()).min(keys - 1)
    };
    let rest = keys - revoked;
    let valid = part(rest, shares.valid, shares.valid + shares.imported).min(rest);
    let valid = if shares.imported > 0 {
        valid.min(rest.saturating_sub(1))
    } else {
        valid
    };
    Sizes {
        valid,
        imported: rest - valid,
        revoked,
        jwt: if shares.jwt > 0 { tokens } else { 0 },
        macaroon: if shares.macaroon > 0 { tokens } else { 0 },
        ..Sizes::default()
    }
}

/// Whether the keys are to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// They are. Imported ones that are there already count as made.
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

struct Issued {
    key_id: String,
    secret: String,
}

#[derive(Deserialize)]
struct BatchReply {
    results: Vec<BatchResult>,
}

#[derive(Deserialize)]
struct BatchResult {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
    imported_api_key: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    key_id: String,
}

impl Seeder<'_> {
    /// Makes the keys, or looks whether they are there.
    ///
    /// # Errors
    /// When the server refuses, a connection breaks, keys are missing, or the run is interrupted.
    pub fn seed(&self, keys: Keys, sizes: &Sizes, shares: &Shares) -> Result<Corpus, LoadError> {
        let mut corpus = Corpus::derived(self.seed, sizes.clone());
        if keys == Keys::Make {
            self.import(Family::Imported, sizes.imported)?;
            if shares.valid > 0 {
                corpus.issued = self.issue(sizes.valid, |n| Actor::Issued(n).id())?.0;
                let (revoked, ids) = self.issue(sizes.revoked, |_| "load-revoked".to_owned())?;
                self.revoke(&ids)?;
                corpus.revoked = Revoked::Issued(revoked);
            } else {
                let ids = self.import(Family::ImportedRevoked, sizes.revoked)?;
                self.revoke(&ids)?;
            }
        } else {
            self.look(&corpus)?;
        }
        let tokens = sizes.jwt.max(sizes.macaroon);
        if tokens > 0 {
            let (parents, _) = self.issue(PARENTS.min(tokens), |_| "load-parent".to_owned())?;
            corpus.jwt = self.derive(&parents, sizes.jwt, "TOKEN_ALGORITHM_JWT")?;
            corpus.macaroon = self.derive(&parents, sizes.macaroon, "TOKEN_ALGORITHM_MACAROON")?;
        }
        Ok(corpus)
    }

    /// Issues keys for these actors; their secrets and ids by number.
    fn issue(
        &self,
        count: u32,
        actor: impl Fn(u32) -> String + Sync,
    ) -> Result<(Packed, Vec<String>), LoadError> {
        if count == 0 {
            return Ok((Packed::default(), Vec::new()));
        }
        let first = issue_one(self, &mut self.client(), &actor(0))?;
        let mut packed = Packed::for_texts_like(&first.secret, count);
        let odd = || LoadError::OddSecret;
        packed.set(0, &first.secret).ok_or_else(odd)?;
        let ids = vec![String::new(); usize::try_from(count).unwrap_or(0)];
        let made = Mutex::new((packed, ids));
        let keep = |number: u32, key: Issued| {
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(id) = usize::try_from(number)
                .ok()
                .and_then(|index| made.1.get_mut(index))
            {
                *id = key.key_id;
            }
            made.0.set(number, &key.secret).ok_or_else(odd)
        };
        keep(0, first)?;
        self.in_parallel(
            "issuing keys",
            1..count,
            1,
            CONNECTIONS,
            |client, number, _| keep(number, issue_one(self, client, &actor(number))?),
        )?;
        Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Imports a family; the ids of its keys by number if they are to be revoked.
    fn import(&self, family: Family, count: u32) -> Result<Vec<String>, LoadError> {
        let ids = Mutex::new(vec![
            String::new();
            if family == Family::ImportedRevoked {
                usize::try_from(count).unwrap_or(0)
            } else {
                0
            }
        ]);
        let batch = |client: &mut Client, from: u32, to: u32| {
            let actor = |number| match family {
                Family::ImportedRevoked => "load-revoked".to_owned(),
                _ => Actor::Imported(number).id(),
            };
            let items: Vec<String> = (from..to)
                .map(|number| {
                    let raw_key = derived::text(self.seed, family, u64::from(number));
                    let actor = actor(number);
                    format!(r#"{{"raw_key":"{raw_key}","name":"load","actor_id":"{actor}","scopes":["read","write"]}}"#)
                })
                .collect();
            let body = format!(r#"{{"requests":[{}]}}"#, items.join(","));
            let path = "/v2alpha1/admin/importedApiKeys:batchCreate";
            let doing = "importing keys";
            let reply = self.call(client, doing, path, body.as_bytes())?;
            let exist = reply.status == 409;
            if reply.status != 200 && !exist {
                return Err(refused(doing, &reply));
            }
            if family != Family::ImportedRevoked
                && (exist || memchr::memmem::find(&reply.body, br#""failure_count":0"#).is_some())
            {
                return Ok(());
            }
            let parsed: BatchReply = serde_json::from_slice(&reply.body).unwrap_or(BatchReply {
                results: Vec::new(),
            });
            let mut results = parsed.results.into_iter();
            for number in from..to {
                let result = results.next();
                let new_id = match result {
                    Some(BatchResult {
                        imported_api_key: Some(named),
                        ..
                    }) => named.key_id,
                    Some(failed) if !failed.error_code.ends_with("_ALREADY_EXISTS") => {
                        let body = failed.error_code + ": " + &failed.error_message;
                        return Err(LoadError::Refused {
                            doing,
                            status: 200,
                            body,
                        });
                    }
                    _ if family == Family::ImportedRevoked => {
                        let text = derived::text(self.seed, family, u64::from(number));
                        self.id_unless_revoked(client, &text)?
                    }
                    _ => String::new(),
                };
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(id) = usize::try_from(number)
                    .ok()
                    .and_then(|index| ids.get_mut(index))
                {
                    *id = new_id;
                }
            }
            Ok(())
        };
        self.in_parallel("importing keys", 0..count, BATCH, BATCH_CONNECTIONS, batch)?;
        Ok(ids.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of a key that an earlier run has imported; empty when that run has revoked it, too.
    fn id_unless_revoked(&self, client: &mut Client, secret: &str) -> Result<String, LoadError> {
        let answer = self.verify(client, secret)?.json();
        if answer.get("is_valid") == Some(&Value::Bool(true)) {
            Ok(text_at(&answer, "/key_id").unwrap_or_default())
        } else {
            Ok(String::new())
        }
    }

    fn verify(&self, client: &mut Client, credential: &str) -> Result<Reply, LoadError> {
        let body = json!({"credential": credential}).to_string();
        let doing = "verifying a key";
        let reply = self.call(
            client,
            doing,
            "/v2alpha1/admin/apiKeys:verify",
            body.as_bytes(),
        )?;
        if reply.status == 200 {
            Ok(reply)
        } else {
            Err(refused(doing, &reply))
        }
    }

    /// Revokes keys; empty ids are passed over.
    fn revoke(&self, ids: &[String]) -> Result<(), LoadError> {
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.in_parallel(
            "revoking keys",
            0..count,
            1,
            CONNECTIONS,
            |client, number, _| {
                let id = usize::try_from(number)
                    .ok()
                    .and_then(|index| ids.get(index));
                match id {
                    Some(id) if !id.is_empty() => revoke_one(self, client, id),
                    _ => Ok(()),
                }
            },
        )
    }

    fn derive(
        &self,
        parents: &Packed,
        count: u32,
        algorithm: &'static str,
    ) -> Result<Vec<Box<str>>, LoadError> {
        let tokens = Mutex::new(Vec::with_capacity(usize::try_from(count).unwrap_or(0)));
        self.in_parallel("deriving tokens", 0..count, 1, CONNECTIONS, |client, number, _| {
            let mut parent = Vec::new();
            parents.append(number % PARENTS.min(count), &mut parent);
            let body = json!({"credential": String::from_utf8_lossy(&parent), "algorithm": algorithm, "ttl": "24h"});
            let doing = "deriving a token";
            let path = "/v2alpha1/admin/apiKeys:derive";
            let reply = self.call(client, doing, path, body.to_string().as_bytes())?;
            let token = text_at(&reply.json(), "/token/token");
            let token = token.ok_or_else(|| refused(doing, &reply))?;
            let mut tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.push(token.into_boxed_str());
            Ok(())
        })?;
        Ok(tokens.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at some keys of an earlier run.
    fn look(&self, corpus: &Corpus) -> Result<(), LoadError> {
        let mut client = self.client();
        for (class, count) in [
            (Class::Imported, corpus.sizes.imported),
            (Class::Revoked, corpus.sizes.revoked),
        ] {
            let step = (count / LOOKED_AT).max(1);
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
                let credential = String::from_utf8_lossy(&credential);
                let answer = self.verify(&mut client, &credential)?;
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

    fn client(&self) -> Client {
        self.target.client()
    }

    /// Sends a request, again and again while the server says that it is too busy.
    fn call(
        &self,
        client: &mut Client,
        doing: &'static str,
        path: &str,
        body: &[u8],
    ) -> Result<Reply, LoadError> {
        let mut tries = 0;
        loop {
            let reply = client.post(path, body).map_err(LoadError::io(doing))?;
            tries += 1;
            if reply.status != 503 || tries == TRIES || self.interrupted.load(Ordering::Relaxed) {
                return Ok(reply);
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Does `work` on pieces of `numbers`, each of `piece` or, at the end, fewer, on several connections at a time. The first
    /// error ends it.
    fn in_parallel(
        &self,
        doing: &'static str,
        numbers: std::ops::Range<u32>,
        piece: u32,
        connections: u32,
        work: impl Fn(&mut Client, u32, u32) -> Result<(), LoadError> + Sync,
    ) -> Result<(), LoadError> {
        let (start, end) = (numbers.start, numbers.end);
        let total = end.saturating_sub(start);
        let pieces = total.div_ceil(piece);
        let next = AtomicU32::new(0);
        let failed = AtomicBool::new(false);
        Progress::during(doing, u64::from(total), |progress| {
            std::thread::scope(|scope| {
                let worker = || -> Result<(), LoadError> {
                    let mut client = self.client();
                    loop {
                        if failed.load(Ordering::Relaxed) {
                            return Ok(());
                        }
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= pieces {
                            return Ok(());
                        }
                        if self.interrupted.load(Ordering::Relaxed) {
                            return Err(LoadError::Interrupted);
                        }
                        let from = start + index * piece;
                        let to = from.saturating_add(piece).min(end);
                        work(&mut client, from, to)
                            .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                        progress.add(u64::from(to - from));
                    }
                };
                let workers: Vec<_> = (0..connections.min(pieces))
                    .map(|_| scope.spawn(worker))
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().map_err(|_| LoadError::Panicked)?)
                    .fold(Ok(()), Result::and)
            })
        })
    }
}

fn issue_one(seeder: &Seeder<'_>, client: &mut Client, actor: &str) -> Result<Issued, LoadError> {
    let body = format!(r#"{{"name":"load","actor_id":"{actor}","scopes":["read","write"]}}"#);
    let doing = "issuing a key";
    let path = "/v2alpha1/admin/issuedApiKeys";
    let reply = seeder.call(client, doing, path, body.as_bytes())?;
    let answer = reply.json();
    let key = text_at(&answer, "/issued_api_key/key_id").zip(text_at(&answer, "/secret"));
    key.map(|(key_id, secret)| Issued { key_id, secret })
        .ok_or_else(|| refused(doing, &reply))
}

fn revoke_one(seeder: &Seeder<'_>, client: &mut Client, id: &str) -> Result<(), LoadError> {
    let path = format!("/v2alpha1/admin/apiKeys/{id}:revoke");
    let body = br#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#;
    let doing = "revoking a key";
    let reply = seeder.call(client, doing, &path, body)?;
    if reply.status == 200 {
        Ok(())
    } else {
        Err(refused(doing, &reply))
    }
}

/// The string at a JSON pointer.
#[must_use]
pub fn text_at(value: &Value, pointer: &str) -> Option<String> {
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}

fn refused(doing: &'static str, reply: &Reply) -> LoadError {
    LoadError::Refused {
        doing,
        status: reply.status,
        body: reply.text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_with_a_share_has_keys() {
        let sizes = |mix: &str, keys| {
            let sizes = divide(keys, 7, &mix.parse().unwrap());
            assert_eq!(sizes.valid + sizes.imported + sizes.revoked, keys, "{mix}");
            (sizes.valid, sizes.imported, sizes.revoked)
        };
        assert_eq!(
            sizes("valid=80,revoked=10,unknown=10", 10_000),
            (9000, 0, 1000)
        );
        assert_eq!(sizes("valid=998,revoked=1,unknown=1", 10), (9, 0, 1));
        assert_eq!(sizes("revoked=1", 10), (0, 0, 10));
        assert_eq!(sizes("valid=1,revoked=1000000", 10), (1, 0, 9));
        assert_eq!(sizes("valid=1,imported=3", 100), (25, 75, 0));
        assert_eq!(sizes("valid=1000000,imported=1", 10), (9, 1, 0));
        assert_eq!(sizes("imported=1,revoked=1", 100), (0, 50, 50));
        assert_eq!(sizes("unknown=1", 100), (0, 100, 0));
        assert_eq!(sizes("batch=1", 100), (0, 100, 0));
        let tokens = divide(10, 7, &"jwt=1,valid=1".parse().unwrap());
        assert_eq!((tokens.jwt, tokens.macaroon), (7, 0));
    }
}
