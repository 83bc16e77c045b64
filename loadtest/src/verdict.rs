//! Whether an answer is right for its credential.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use crate::changing::{KeySnapshot, KeyState};

/// The right answer to a request.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Valid, and the key of this actor.
    Actor(Actor),
    /// Valid. The key that the token was derived from is not checked.
    Valid,
    /// Refused as revoked.
    Revoked,
    /// Refused as unknown.
    Unknown,
    /// One verdict for each credential of a batch, in order.
    Batch(Verdicts),
    /// The answers that are right for a key that changes.
    Changing(KeySnapshot),
}

/// The actor of a key. Every key has its own, so that answers can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The actor of an issued key.
    Issued(u32),
    /// The actor of an imported key.
    Imported(u32),
}

impl Actor {
    /// Its `actor_id`.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Issued(number) => format!("load-v{number}"),
            Self::Imported(number) => format!("load-i{number}"),
        }
    }

    /// Whether `bytes` begin with the rest of this actor's id after `load-`, and its closing quote.
    fn follows_in(self, bytes: &[u8]) -> bool {
        let (kind, number) = match self {
            Self::Issued(number) => (b'v', number),
            Self::Imported(number) => (b'i', number),
        };
        let Some((first, rest)) = bytes.split_first() else {
            return false;
        };
        let mut seen = 0_u64;
        for byte in rest.iter().take(11) {
            match byte {
                b'0'..=b'9' => seen = seen * 10 + u64::from(byte - b'0'),
                b'"' => return *first == kind && seen == u64::from(number),
                _ => return false,
            }
        }
        false
    }
}

/// Up to 100 verdicts: bit n is set if credential n is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    valid: u128,
    count: u8,
}

impl Verdicts {
    /// Adds a valid credential.
    pub fn push_valid(&mut self) {
        self.valid |= 1_u128.checked_shl(u32::from(self.count)).unwrap_or(0);
        self.count += 1;
    }

    /// Adds a credential that is not valid.
    pub fn push_invalid(&mut self) {
        self.count += 1;
    }

    fn says(self, index: u32) -> bool {
        self.valid.checked_shr(index).unwrap_or(0) & 1 == 1
    }
}

type Text = LazyLock<Finder<'static>>;
static SAYS_VALID: Text = LazyLock::new(|| Finder::new(br#""is_valid":true"#));
static SAYS_INVALID: Text = LazyLock::new(|| Finder::new(br#""is_valid":false"#));
static VERDICT: Text = LazyLock::new(|| Finder::new(br#""is_valid":"#));
static ACTOR: Text = LazyLock::new(|| Finder::new(br#""actor_id":"load-"#));
static REVOKED: Text = LazyLock::new(|| Finder::new(br#""VERIFICATION_ERROR_REVOKED""#));
static NOT_FOUND: Text = LazyLock::new(|| Finder::new(br#""VERIFICATION_ERROR_NOT_FOUND""#));

impl Expected {
    /// Whether `body` is a right answer. Call it when the answer is complete, because the state of
    /// a changing key may change later. Compact JSON is recognised by its bytes; any other spelling
    /// is parsed, which costs more.
    #[must_use]
    pub fn allows(&self, body: &[u8]) -> bool {
        let has = |text: &Text| text.find(body).is_some();
        let compact = match self {
            Self::Actor(actor) => {
                has(&SAYS_VALID)
                    && ACTOR
                        .find(body)
                        .and_then(|at| body.get(at + ACTOR.needle().len()..))
                        .is_some_and(|rest| actor.follows_in(rest))
            }
            Self::Valid => has(&SAYS_VALID),
            Self::Revoked => has(&SAYS_INVALID) && has(&REVOKED),
            Self::Unknown => has(&SAYS_INVALID) && has(&NOT_FOUND),
            Self::Batch(verdicts) => verdicts.are_in(body),
            Self::Changing(snapshot) => {
                (has(&SAYS_VALID) && snapshot.allows(KeyState::Valid))
                    || (has(&SAYS_INVALID) && has(&REVOKED) && snapshot.allows(KeyState::Revoked))
            }
        };
        compact || self.allows_in_any_spelling(body)
    }

    #[cold]
    fn allows_in_any_spelling(&self, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return false;
        };
        let state = state_in(&body);
        match self {
            Self::Actor(actor) => {
                state == KeyState::Valid && body.get("actor_id").is_some_and(|id| *id == actor.id())
            }
            Self::Valid => state == KeyState::Valid,
            Self::Revoked => state == KeyState::Revoked,
            Self::Unknown => {
                body.get("is_valid").is_some_and(|valid| *valid == false)
                    && error_code(&body) == Some("VERIFICATION_ERROR_NOT_FOUND")
            }
            Self::Batch(verdicts) => {
                let results = body.get("results").and_then(Value::as_array);
                results.is_some_and(|results| {
                    results.len() == usize::from(verdicts.count)
                        && (0..).zip(results).all(|(index, one)| {
                            verdicts.says(index) == (state_in(one) == KeyState::Valid)
                        })
                })
            }
            Self::Changing(snapshot) => snapshot.allows(state),
        }
    }
}

impl Verdicts {
    fn are_in(self, body: &[u8]) -> bool {
        let mut index = 0_u32;
        for at in VERDICT.find_iter(body) {
            let first = body.get(at + VERDICT.needle().len());
            let right = if self.says(index) { b't' } else { b'f' };
            if first != Some(&right) {
                return false;
            }
            index += 1;
        }
        index == u32::from(self.count)
    }
}

fn error_code(body: &Value) -> Option<&str> {
    body.get("error_code")?.as_str()
}

fn state_in(body: &Value) -> KeyState {
    match (
        body.get("is_valid").and_then(Value::as_bool),
        error_code(body),
    ) {
        (Some(true), _) => KeyState::Valid,
        (Some(false), Some("VERIFICATION_ERROR_REVOKED")) => KeyState::Revoked,
        _ => KeyState::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::changing::ChangingKey;

    const VALID: &str = r#"{"is_valid":true,"actor_id":"load-v12"}"#;
    const SPACED: &str = r#"{ "actor_id" : "load-v12", "is_valid" : true }"#;
    const IMPORTED: &str = r#"{"is_valid":true,"actor_id":"load-i12"}"#;
    const OTHER: &str = r#"{"is_valid":true,"actor_id":"load-v123"}"#;
    const REVOKED: &str = r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_REVOKED"}"#;
    const SPACED_REVOKED: &str =
        r#"{"is_valid": false, "error_code": "VERIFICATION_ERROR_REVOKED"}"#;
    const UNKNOWN: &str = r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_NOT_FOUND"}"#;
    const ALL: [&str; 9] = [
        VALID,
        SPACED,
        IMPORTED,
        OTHER,
        REVOKED,
        SPACED_REVOKED,
        UNKNOWN,
        "",
        "{}",
    ];

    fn assert_right(expected: &Expected, right: &[&str]) {
        for body in ALL {
            assert_eq!(
                expected.allows(body.as_bytes()),
                right.contains(&body),
                "{expected:?} {body}"
            );
        }
    }

    #[test]
    fn only_the_right_answer_is_right() {
        assert_right(&Expected::Actor(Actor::Issued(12)), &[VALID, SPACED]);
        assert_right(&Expected::Actor(Actor::Imported(12)), &[IMPORTED]);
        assert_right(&Expected::Valid, &[VALID, SPACED, IMPORTED, OTHER]);
        assert_right(&Expected::Revoked, &[REVOKED, SPACED_REVOKED]);
        assert_right(&Expected::Unknown, &[UNKNOWN]);
    }

    #[test]
    fn a_changing_key_is_judged_by_its_revocation() {
        let key = Arc::new(ChangingKey::new(String::new(), String::new()));
        let valid = [VALID, SPACED, IMPORTED, OTHER];
        let early = Expected::Changing(key.snapshot());
        assert_right(&early, &valid);
        let _ = key.claim_revocation();
        assert_right(&early, &[&valid[..], &[REVOKED, SPACED_REVOKED]].concat());
        key.acknowledge_revocation();
        assert_right(
            &Expected::Changing(key.snapshot()),
            &[REVOKED, SPACED_REVOKED],
        );
    }

    #[test]
    fn each_verdict_of_a_batch_counts() {
        let mut verdicts = Verdicts::default();
        verdicts.push_valid();
        verdicts.push_invalid();
        verdicts.push_valid();
        let expected = Expected::Batch(verdicts);
        let body = |bodies: &[&str]| format!(r#"{{"results":[{}]}}"#, bodies.join(","));
        for right in [[VALID, UNKNOWN, VALID], [VALID, REVOKED, SPACED]] {
            assert!(expected.allows(body(&right).as_bytes()));
        }
        for wrong in [
            &[VALID, UNKNOWN][..],
            &[VALID, VALID, VALID],
            &[UNKNOWN, VALID, VALID],
            &[VALID, UNKNOWN, VALID, VALID],
            &[],
        ] {
            assert!(!expected.allows(body(wrong).as_bytes()), "{wrong:?}");
        }
        let mut full = Verdicts::default();
        (0..100).for_each(|_| full.push_valid());
        assert!(Expected::Batch(full).allows(body(&[VALID; 100]).as_bytes()));
        assert!(!Expected::Batch(full).allows(body(&[VALID; 99]).as_bytes()));
    }
}
