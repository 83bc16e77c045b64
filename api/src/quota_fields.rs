//! The remaining quota of a key, as fields of a verification's answer.

use std::io::Write as _;

use talos_model::Standing;

use crate::timestamp;

/// The fields of the remaining quota, which go before the closing brace of an answer. They differ
/// from answer to answer, so they are made without allocating.
#[derive(Clone, Copy, Debug)]
pub struct QuotaFields {
    bytes: [u8; QUOTA_FIELDS_BYTES],
    len: usize,
}

/// Room for both names, twenty digits and the longest timestamp.
const QUOTA_FIELDS_BYTES: usize = 128;

impl QuotaFields {
    /// The fields of `standing`.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        let mut bytes = [0; QUOTA_FIELDS_BYTES];
        let mut rest = bytes.as_mut_slice();
        let written = write!(
            rest,
            r#","rate_limit_remaining":"{}","rate_limit_reset_time":"{}""#,
            standing.remaining,
            timestamp::Text(standing.reset_time)
        );
        let left = rest.len();
        // Leaves the fields out rather than cutting them: a part of them would break the body.
        let len = if written.is_ok() {
            QUOTA_FIELDS_BYTES - left
        } else {
            0
        };
        Self { bytes, len }
    }

    /// The pieces of `body`, a JSON object that is not empty, with the fields inserted.
    #[must_use]
    pub fn within<'a>(&'a self, body: &'a [u8]) -> [&'a [u8]; 3] {
        match body.strip_suffix(b"}") {
            Some(open) => [open, self.bytes.get(..self.len).unwrap_or_default(), b"}"],
            None => [body, b"", b""],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use talos_model::Refusal;
    use talos_model::clock::UnixMillis;

    use super::*;
    use crate::key::tests::full;
    use crate::verify::{refused_body, render_valid};

    #[test]
    fn quota_fields_go_into_any_answer() {
        let with = |remaining, reset_ms: i64, body: &[u8]| {
            let fields = QuotaFields::new(Standing {
                remaining,
                reset_time: UnixMillis(reset_ms),
            });
            String::from_utf8(fields.within(body).concat()).expect("UTF-8")
        };
        assert_eq!(
            with(42, 1_700_000_000_250, br#"{"is_valid":true}"#),
            r#"{"is_valid":true,"rate_limit_remaining":"42","rate_limit_reset_time":"2023-11-14T22:13:20.250Z"}"#
        );
        for (remaining, reset_ms) in [(0, 0), (u64::MAX, i64::MAX), (1, i64::MIN)] {
            for body in [
                render_valid(&full(), "i"),
                refused_body(Refusal::RateLimited).to_vec(),
            ] {
                let text = with(remaining, reset_ms, &body);
                let value: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(value["rate_limit_remaining"], remaining.to_string());
                assert!(
                    value["rate_limit_reset_time"].is_string() && value["is_valid"].is_boolean()
                );
            }
        }
    }
}
