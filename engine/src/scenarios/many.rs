//! Many verifications in a row say of each credential what it would be told alone.

use talos_credentials::token::TokenType;
use talos_model::limits::CREDENTIAL_BYTES;

use super::tokens::{MODES, derive};
use super::*;
use crate::limits::PROOFS_FETCHED_AHEAD;

/// Around how far ahead memory is asked, and the most that a request may hold.
const COUNTS: [usize; 9] = [0, 1, 3, 4, 5, 8, 9, 10, 100];

fn ask_many(engine: &Engine, queries: &[Query<'_>]) -> Vec<(Said, CacheStatus)> {
    let (mut answers, mut reads) = (Vec::new(), Vec::new());
    engine.verify_many(queries, |place, step| {
        assert_eq!(place, answers.len());
        match step {
            Step::Answered(answer) => answers.push(Some(said(answer))),
            Step::Pending(pending) => {
                answers.push(None);
                reads.push((place, pending));
            }
        }
    });
    for (place, pending) in reads {
        answers[place] = Some(read_and_finish(engine, &queries[place], pending));
    }
    answers.into_iter().map(Option::unwrap).collect()
}

/// Fills memory with so many proofs that it is asked ahead.
fn prove_many(engine: &Engine) {
    let (parent, _) = issue(engine, key("parent"));
    for _ in 0..PROOFS_FETCHED_AHEAD + 100 {
        let token = derive(engine, &parent, TokenType::Macaroon);
        verify(engine, &token, CacheMode::Use);
    }
}

/// Credentials of every kind and fate, some of them twice.
fn credentials(engine: &Engine) -> Vec<String> {
    let mut credentials = Vec::new();
    for n in 0..30 {
        let (record, secret) = issue(engine, key(&n.to_string()));
        let secret = secret.expect("a credential");
        credentials.push(derive(engine, &record, TokenType::Macaroon));
        if n % 3 == 0 {
            revoke(engine, record.key_id).expect("a revocation");
        }
        if n % 5 == 0 {
            credentials.push(secret.clone());
            credentials.push(format!("{}1", &secret[..secret.len() - 1]));
            credentials.push(format!("sk_unknown_{n}"));
        }
        credentials.push(secret);
    }
    credentials.push(String::new());
    credentials.push("a".repeat(CREDENTIAL_BYTES + 1));
    credentials.rotate_left(7);
    credentials
}

#[test]
fn each_is_told_what_it_would_be_told_alone() {
    for cache_bytes in [64 << 20, 1 << 20, 1, 0] {
        let scratch = tempfile::tempdir().unwrap();
        let open = || {
            let options = Options {
                cache_bytes,
                ..options(scratch.path())
            };
            Engine::open(options).expect("a database")
        };
        let engine = open();
        if cache_bytes == 64 << 20 {
            prove_many(&engine);
        }
        let credentials = credentials(&engine);
        let verdicts: Vec<_> = credentials
            .iter()
            .map(|credential| verify(&engine, credential, CacheMode::Use).0)
            .collect();
        assert!(verdicts.iter().any(|said| matches!(said, Said::Valid(_))));
        for mode in MODES {
            let queries: Vec<_> = credentials.iter().map(|text| query(text, mode)).collect();
            for count in COUNTS {
                let count = count.min(queries.len());
                let alone = queries[..count].iter().map(|query| ask(&engine, query));
                let alone: Vec<_> = alone.collect();
                let together = ask_many(&engine, &queries[..count]);
                // A cache of one byte forgets as it pleases.
                if cache_bytes == 1 {
                    assert!(together.iter().map(|(said, _)| said).eq(&verdicts[..count]));
                } else {
                    assert_eq!(together, alone, "{count} of {mode:?}");
                }
            }
        }
        drop(engine);

        // Nothing is in memory: what is not refused at once has to be read.
        let engine = open();
        let queries: Vec<_> = credentials
            .iter()
            .map(|text| query(text, CacheMode::Use))
            .collect();
        let together = ask_many(&engine, &queries);
        assert!(together.iter().map(|(said, _)| said).eq(&verdicts));
        assert!(together.iter().any(|(_, from)| *from == CacheStatus::Miss));
    }
}
