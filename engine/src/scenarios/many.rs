//! Many verifications in one call give each credential the answer that it would get alone.

use talos_credentials::token::TokenType;
use talos_model::limits::CREDENTIAL_BYTES;

use super::tokens::{MODES, derive};
use super::*;
use crate::limits::PROOFS_FETCHED_AHEAD;

/// Numbers around the prefetch distance, and the most credentials that a request may contain.
const COUNTS: [usize; 9] = [0, 1, 3, 4, 5, 8, 9, 10, 100];

pub(super) fn verify_all(
    engine: &Engine,
    queries: &[Query<'_>],
) -> Vec<(OwnedVerdict, CacheStatus)> {
    let (mut answers, mut reads) = (Vec::new(), Vec::new());
    engine.verify_many(queries, |place, step| {
        assert_eq!(place, answers.len());
        match step {
            VerifyStep::Answered(answer) => answers.push(Some(owned_verdict(answer))),
            VerifyStep::Pending(pending) => {
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

/// Fills memory with so many proofs that verifications prefetch.
fn fill_with_proofs(engine: &Engine) {
    let (parent, _) = issue(engine, key("parent"));
    for _ in 0..PROOFS_FETCHED_AHEAD + 100 {
        let token = derive(engine, &parent, TokenType::Macaroon);
        verify(engine, &token, CacheMode::Use);
    }
}

/// Credentials of every kind and state, some of them twice.
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
fn many_queries_get_the_answers_of_single_ones() {
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
            fill_with_proofs(&engine);
        }
        let credentials = credentials(&engine);
        let verdicts: Vec<_> = credentials
            .iter()
            .map(|credential| verify(&engine, credential, CacheMode::Use).0)
            .collect();
        assert!(
            verdicts
                .iter()
                .any(|verdict| matches!(verdict, OwnedVerdict::Valid(_)))
        );
        for mode in MODES {
            let queries: Vec<_> = credentials.iter().map(|text| query(text, mode)).collect();
            for count in COUNTS {
                let count = count.min(queries.len());
                let alone = queries[..count]
                    .iter()
                    .map(|query| verify_query(&engine, query));
                let alone: Vec<_> = alone.collect();
                let together = verify_all(&engine, &queries[..count]);
                // A cache of one byte evicts at any time.
                if cache_bytes == 1 {
                    assert!(
                        together
                            .iter()
                            .map(|(verdict, _)| verdict)
                            .eq(&verdicts[..count])
                    );
                } else {
                    assert_eq!(together, alone, "{count} of {mode:?}");
                }
            }
        }
        drop(engine);

        // Nothing is in memory, so every credential that is not refused at once must be read.
        let engine = open();
        let queries: Vec<_> = credentials
            .iter()
            .map(|text| query(text, CacheMode::Use))
            .collect();
        let together = verify_all(&engine, &queries);
        assert!(together.iter().map(|(verdict, _)| verdict).eq(&verdicts));
        assert!(together.iter().any(|(_, from)| *from == CacheStatus::Miss));
    }
}
