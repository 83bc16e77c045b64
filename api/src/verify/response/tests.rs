//! The exact bytes of the bodies, and valid JSON for every key.

use serde_json::Value;
use talos_model::Refusal;

use super::*;
use crate::key::tests::{bare, full};
use crate::verify::random::Random;
use crate::verify::refused_body;

#[test]
fn a_valid_answer_is_exact() {
    let text = |record: &Record| {
        String::from_utf8(render_valid(record, "http://localhost:4420")).expect("UTF-8")
    };
    assert_eq!(
        text(&bare()),
        r#"{"is_valid":true,"is_active":true,"status":"KEY_STATUS_ACTIVE","key_id":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","actor_id":"a","scopes":[],"visibility":"KEY_VISIBILITY_SECRET","issuer":"http://localhost:4420"}"#
    );
    assert_eq!(
        text(&full()),
        r#"{"is_valid":true,"is_active":true,"status":"KEY_STATUS_ACTIVE","key_id":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","actor_id":"user","scopes":["read:*","write:*"],"metadata":{"b":1.50,"a":[true]},"visibility":"KEY_VISIBILITY_PUBLIC","issuer":"http://localhost:4420","expire_time":"2023-11-14T22:14:20Z","rate_limit_policy":{"quota":"100","window":"60s","unit":"requests"}}"#
    );
}

#[test]
fn any_text_stays_json() {
    let mut random = Random(0x00C0_FFEE);
    let pieces = [
        "\"",
        "\\",
        "\u{0}",
        "\n",
        "\u{1f}",
        "\u{7f}",
        "\u{2028}",
        "🔑",
        "é",
        "a",
        "</script>",
        "{",
        "\\u0000",
    ];
    for _ in 0..2_000 {
        let mut text = || {
            (0..random.below(6))
                .map(|_| pieces[random.below(pieces.len())])
                .collect::<String>()
        };
        let mut record = bare();
        record.actor_id = text();
        record.scopes = vec![text(), text()];
        let issuer = text();
        let inner = text();
        record.metadata = serde_json::json!({ inner.as_str(): inner.as_str() }).to_string();
        let value: Value = serde_json::from_slice(&render_valid(&record, &issuer)).expect("JSON");
        assert_eq!(value["actor_id"], record.actor_id.as_str());
        assert_eq!(value["scopes"][1], record.scopes[1].as_str());
        assert_eq!(value["issuer"], issuer.as_str());
        assert_eq!(value["metadata"][&inner], inner.as_str());
    }
}

#[test]
fn refusals_are_json_with_their_code() {
    let table = [
        (Refusal::InvalidFormat, "INVALID_FORMAT"),
        (Refusal::Expired, "EXPIRED"),
        (Refusal::Revoked, "REVOKED"),
        (Refusal::NotFound, "NOT_FOUND"),
        (Refusal::SignatureInvalid, "SIGNATURE_INVALID"),
        (Refusal::Internal, "INTERNAL"),
        (Refusal::IpNotAllowed, "IP_NOT_ALLOWED"),
        (Refusal::RateLimited, "RATE_LIMITED"),
        (Refusal::AudienceMismatch, "AUDIENCE_MISMATCH"),
        (Refusal::AnswerTooLarge, "ANSWER_TOO_LARGE"),
    ];
    for (refusal, code) in table {
        let value: Value = serde_json::from_slice(refused_body(refusal)).expect("JSON");
        assert_eq!(value["is_valid"], false);
        assert_eq!(value["is_active"], false);
        assert_eq!(value["error_code"], format!("VERIFICATION_ERROR_{code}"));
        assert!(!value["error_message"].as_str().expect("a text").is_empty());
        assert_eq!(value.as_object().expect("an object").len(), 4);
    }
}
