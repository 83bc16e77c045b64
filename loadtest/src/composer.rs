//! Makes requests: chooses a credential, and writes the request straight into a connection's
//! buffer.

use std::sync::Arc;

use crate::changing::Pool;
use crate::class::{Class, PerClass, Shares};
use crate::corpus::Corpus;
use crate::numbers::append_decimal;
use crate::popularity::{Popularity, Sampler};
use crate::random::Random;
use crate::tenants::Hosts;
use crate::verdict::{Actor, Expected, Verdicts};

/// One in this many credentials of a batch is unknown.
const UNKNOWN_IN_BATCH: u32 = 10;

const VERIFY_START: &[u8] = b"POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: ";
const BATCH_START: &[u8] = b"POST /v2alpha1/admin/apiKeys:batchVerify HTTP/1.1\r\nHost: ";
const AFTER_HOST: &[u8] = b"\r\nContent-Type: application/json\r\nContent-Length: ";

/// What all load threads share.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The credentials.
    pub corpus: Arc<Corpus>,
    /// How often each class is chosen.
    pub shares: Shares,
    /// Which keys are chosen.
    pub popularity: Popularity,
    /// Credentials in a batch, 1 to 100.
    pub batch: u8,
    /// Keys that change during the run.
    pub changing: Arc<Pool>,
    /// The value of the `Host` header.
    pub hosts: Hosts,
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its class.
    pub class: Class,
    /// What its answer must say.
    pub expected: Expected,
}

/// Makes the requests of one thread.
#[derive(Debug)]
pub struct Composer {
    workload: Workload,
    total: u32,
    samplers: PerClass<Sampler>,
    body: Vec<u8>,
    random: Random,
}

impl Composer {
    /// A composer that draws its choices from `random`.
    #[must_use]
    pub fn new(workload: Workload, random: Random) -> Self {
        Self {
            total: workload.shares.total(),
            samplers: PerClass::by(|class| {
                let count = match class {
                    // Unknown credentials have no limit, but each is sent to some tenant.
                    Class::Unknown => workload.hosts.count(),
                    _ => *workload.corpus.sizes.get(class),
                };
                Sampler::new(workload.popularity, count)
            }),
            body: Vec::with_capacity(1024),
            random,
            workload,
        }
    }

    /// The class with the largest share.
    #[must_use]
    pub fn most_frequent(&self) -> Class {
        let shares = &self.workload.shares;
        let most = Class::ALL
            .into_iter()
            .max_by_key(|class| *shares.get(*class));
        most.unwrap_or(Class::Valid)
    }

    /// Appends one request to `out`. Returns what was requested.
    pub fn compose(&mut self, out: &mut Vec<u8>) -> Asked {
        let class = self.workload.shares.class_at(self.random.below(self.total));
        self.body.clear();
        if class == Class::Batch {
            let verdicts = self.compose_batch();
            self.append_request(BATCH_START, 0, out);
            return Asked {
                class,
                expected: Expected::Batch(verdicts),
            };
        }
        self.body.extend_from_slice(br#"{"credential":""#);
        let number = self.samplers.get(class).draw(&mut self.random);
        let expected = self.append_credential(class, number);
        self.body.extend_from_slice(br#""}"#);
        self.append_request(VERIFY_START, number, out);
        Asked { class, expected }
    }

    /// Appends the request with the body that was composed, to the host of the key.
    fn append_request(&self, start: &[u8], key: u32, out: &mut Vec<u8>) {
        out.reserve(start.len() + AFTER_HOST.len() + self.body.len() + 300);
        out.extend_from_slice(start);
        self.workload.hosts.append(key, out);
        out.extend_from_slice(AFTER_HOST);
        append_decimal(u64::try_from(self.body.len()).unwrap_or(u64::MAX), out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
    }

    fn append_credential(&mut self, class: Class, number: u32) -> Expected {
        let corpus = &self.workload.corpus;
        let body = &mut self.body;
        let token = |tokens: &[Box<str>], body: &mut Vec<u8>| {
            let index = usize::try_from(number).unwrap_or(0);
            let text = tokens.get(index).map_or("", |token| token);
            body.extend_from_slice(text.as_bytes());
            Expected::Valid
        };
        match class {
            Class::Valid => {
                corpus.append_issued(number, body);
                Expected::Actor(Actor::Issued(number))
            }
            Class::Imported => {
                corpus.append_imported(number, body);
                Expected::Actor(Actor::Imported(number))
            }
            Class::Revoked => {
                corpus.append_revoked(number, body);
                Expected::Revoked
            }
            Class::Jwt => token(&corpus.jwt, body),
            Class::Macaroon => token(&corpus.macaroon, body),
            Class::Changing => {
                if let Some(key) = self.workload.changing.any(&mut self.random) {
                    body.extend_from_slice(key.credential.as_bytes());
                    Expected::Changing(key.snapshot())
                } else {
                    corpus.append_unknown(self.random.next(), body);
                    Expected::Unknown
                }
            }
            Class::Unknown | Class::Batch => {
                corpus.append_unknown(self.random.next(), body);
                Expected::Unknown
            }
        }
    }

    /// Writes a batch into the body: valid keys, issued and imported by their shares, and some
    /// unknown ones.
    fn compose_batch(&mut self) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let (valid, imported) = (
            self.workload.corpus.sizes.valid,
            self.workload.corpus.sizes.imported,
        );
        self.body.extend_from_slice(br#"{"requests":["#);
        for index in 0..self.workload.batch {
            self.body.extend_from_slice(if index == 0 {
                br#"{"credential":""#.as_slice()
            } else {
                br#",{"credential":""#
            });
            let nobody = valid == 0 && imported == 0;
            let class = if nobody || self.random.below(UNKNOWN_IN_BATCH) == 0 {
                Class::Unknown
            } else if self.random.below(valid.saturating_add(imported)) < valid {
                Class::Valid
            } else {
                Class::Imported
            };
            let number = self.samplers.get(class).draw(&mut self.random);
            self.append_credential(class, number);
            self.body.extend_from_slice(br#""}"#);
            match class {
                Class::Unknown => verdicts.push_invalid(),
                _ => verdicts.push_valid(),
            }
        }
        self.body.extend_from_slice(b"]}");
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changing::ChangingKey;
    use crate::corpus::Sizes;

    fn workload(shares: &str) -> Workload {
        let sizes = Sizes {
            imported: 50,
            revoked: 5,
            ..Sizes::default()
        };
        Workload {
            corpus: Arc::new(Corpus::derived(3, sizes)),
            shares: shares.parse().unwrap(),
            popularity: Popularity::Uniform,
            batch: 20,
            changing: Arc::new(Pool::default()),
            hosts: Hosts::one("h"),
        }
    }

    fn composed(composer: &mut Composer) -> (Asked, String, serde_json::Value) {
        let mut out = Vec::new();
        let asked = composer.compose(&mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.rsplit_once("Content-Length: ").unwrap().1;
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
        (
            asked,
            head.lines().next().unwrap().to_owned(),
            serde_json::from_str(body).unwrap(),
        )
    }

    #[test]
    fn a_request_asks_for_what_its_answer_is_judged_by() {
        let workload = workload("imported=1,revoked=1,unknown=1");
        let mut composer = Composer::new(workload.clone(), Random::new(1, 0));
        for _ in 0..200 {
            let (asked, line, body) = composed(&mut composer);
            assert_eq!(line, "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1");
            let credential = body["credential"].as_str().unwrap();
            let mut expected = Vec::new();
            match asked.expected {
                Expected::Actor(Actor::Imported(number)) => {
                    workload.corpus.append_imported(number, &mut expected);
                    assert_eq!(credential.as_bytes(), expected);
                }
                Expected::Revoked => assert_eq!(asked.class, Class::Revoked),
                Expected::Unknown => assert_eq!(asked.class, Class::Unknown),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_batch_has_the_size_that_was_asked_for() {
        let mut composer = Composer::new(workload("batch=1"), Random::new(1, 0));
        let (_, line, body) = composed(&mut composer);
        assert_eq!(line, "POST /v2alpha1/admin/apiKeys:batchVerify HTTP/1.1");
        assert_eq!(body["requests"].as_array().unwrap().len(), 20);
    }

    #[test]
    fn changing_keys_are_asked_for_once_they_are_shown() {
        let workload = workload("changing=1");
        let pool = Arc::clone(&workload.changing);
        let mut composer = Composer::new(workload, Random::new(1, 0));
        assert!(matches!(
            composed(&mut composer).0.expected,
            Expected::Unknown
        ));
        let key = ChangingKey::new("c".to_owned(), String::new());
        pool.show(key, &mut Random::new(1, 1));
        let (asked, _, body) = composed(&mut composer);
        assert!(matches!(asked.expected, Expected::Changing(_)));
        assert_eq!(body["credential"], "c");
    }
}
