//! Verifying a credential: `POST /v2alpha1/admin/apiKeys:verify`. The body of nearly every request is one short field,
//! so that form is read by hand; what is read so, the strict reader reads alike.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use talos_engine::clock::UnixMillis;
use talos_engine::token::Claims;
use talos_engine::{KeyId, Record, Status};

use crate::error::ApiError;
use crate::json::{self, Field, Object};
use crate::key::{Policy, as_text, metadata, object, status_name, visibility_name};
use crate::key_fields;
use crate::key_tables::{CREDENTIAL, audiences};
use crate::limits;
use crate::names::{KeyStatus, KeyVisibility};
use crate::query::Parameter;
use crate::shapes::{FreeObject, Timestamp};
use crate::timestamp;

pub use crate::refusal::refused_body;

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "VerifyApiKeyRequest",
    about: "A credential that is to be verified.",
    fields: &[CREDENTIAL, EXPECTED_AUDIENCES],
};

/// Which audiences a credential must name.
pub(crate) const EXPECTED_AUDIENCES: Field = audiences(
    "expected_audiences",
    "Audiences of which the credential must name at least one (RFC 7519 §4.1.3); none: it must name none.",
);

/// The headers of a request that change how it is answered (RFC 9111 §5.2.1, §5.4).
pub(crate) const HEADERS: [Parameter; 2] = [
    Parameter::text(
        "Cache-Control",
        "`no-cache` asks storage and not the cache; `no-store` leaves the cache as it is, too.",
    ),
    Parameter::text("Pragma", "`no-cache`, as in `Cache-Control`."),
];

/// What is to be verified. It has no `Debug`, because the credential is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyRequest<'a> {
    /// The credential, 1 to [`limits::CREDENTIAL_BYTES`] bytes; borrowed from the body when it has no escapes.
    pub credential: Cow<'a, str>,
    /// Audiences of which the credential must name at least one; empty = it must name none.
    pub expected_audiences: Vec<Cow<'a, str>>,
}

/// Reads the request. Nothing is allocated for a body of one `credential` without escapes.
///
/// # Errors
/// 400 when the body breaks the contract: `credential_required` when the credential is missing or empty.
pub fn parse_request(body: &[u8]) -> Result<VerifyRequest<'_>, ApiError> {
    let request = match plain_credential(body) {
        Some(credential) => VerifyRequest {
            credential: Cow::Borrowed(credential),
            expected_audiences: Vec::new(),
        },
        None => parse_any(body)?,
    };
    checked(request)
}

/// The request, if its credential is there and not too long.
pub(crate) fn checked(request: VerifyRequest<'_>) -> Result<VerifyRequest<'_>, ApiError> {
    if request.credential.is_empty() {
        return Err(ApiError::credential_required());
    }
    if request.credential.len() > limits::CREDENTIAL_BYTES {
        let message = format!("must have at most {} bytes", limits::CREDENTIAL_BYTES);
        return Err(ApiError::invalid_field("credential", &message));
    }
    Ok(request)
}

/// The credential of a body that is exactly `{"credential":"…"}`, with any white space between the tokens and no escape
/// in the value. `None` leaves the body, good or bad, to the strict reader.
fn plain_credential(body: &[u8]) -> Option<&str> {
    let rest = skip_white_space(body).strip_prefix(b"{")?;
    let rest = skip_white_space(rest).strip_prefix(b"\"credential\"")?;
    let rest = skip_white_space(rest).strip_prefix(b":")?;
    let rest = skip_white_space(rest).strip_prefix(b"\"")?;
    let (credential, rest) = rest.split_at_checked(memchr::memchr2(b'"', b'\\', rest)?)?;
    // An escape ends the scan too, and is not a quote.
    let rest = skip_white_space(rest.strip_prefix(b"\"")?).strip_prefix(b"}")?;
    if !skip_white_space(rest).is_empty() {
        return None;
    }
    // All of them are looked at, which the compiler does sixteen at a time.
    let controls = credential.iter().filter(|byte| **byte < b' ').count();
    if controls > 0 {
        return None;
    }
    std::str::from_utf8(credential).ok()
}

/// The rest after the white space of RFC 8259 §2.
fn skip_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Reads any body. The credential may still be empty or too long.
fn parse_any(body: &[u8]) -> Result<VerifyRequest<'_>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let credential = fields.text("credential")?.unwrap_or_default();
    let expected_audiences = key_fields::audiences(&mut fields, "expected_audiences")?;
    Ok(VerifyRequest {
        credential,
        expected_audiences,
    })
}

/// The body that says that the credential of `record` holds. It depends on nothing but the record and `issuer`, so it is
/// made once per change of the record. API keys name no audiences.
#[must_use]
pub fn render_valid(record: &Record, issuer: &str) -> Vec<u8> {
    json::render(&Accepted {
        is_valid: true,
        is_active: true,
        status: status_name(Status::Active),
        key_id: record.key_id,
        actor_id: &record.actor_id,
        scopes: &record.scopes,
        metadata: metadata(record),
        visibility: visibility_name(record.visibility),
        issuer,
        audiences: None,
        expire_time: record.expire_time.map(timestamp::format),
        rate_limit_policy: record.rate_limit.map(Policy::from),
    })
}

/// The body that says that a derived token holds. It depends on nothing but the token.
#[must_use]
pub fn render_valid_token(claims: &Claims) -> Vec<u8> {
    let expires_at_ms = claims.expires_at_s.saturating_mul(1000);
    json::render(&Accepted {
        is_valid: true,
        is_active: true,
        status: status_name(Status::Active),
        key_id: claims.key_id,
        actor_id: &claims.actor_id,
        scopes: &claims.scopes,
        metadata: object(&claims.metadata),
        visibility: visibility_name(claims.visibility),
        issuer: &claims.issuer,
        audiences: Some(&claims.audiences),
        expire_time: Some(timestamp::format(UnixMillis(expires_at_ms))),
        rate_limit_policy: None,
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Accepted<'a> {
    /// Whether the credential holds.
    is_valid: bool,
    /// The same under an older name.
    is_active: bool,
    /// The state of the key.
    #[schemars(with = "KeyStatus")]
    status: &'static str,
    /// The id of the key.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "&str")]
    key_id: KeyId,
    /// Whose key it is.
    actor_id: &'a str,
    /// What the credential may do.
    scopes: &'a [String],
    /// What the issuer keeps with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FreeObject>")]
    metadata: Option<&'a RawValue>,
    /// Whether the key may be shown to clients.
    #[schemars(with = "KeyVisibility")]
    visibility: &'static str,
    /// Who issued the credential.
    issuer: &'a str,
    /// For whom a derived token is meant; API keys name nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    audiences: Option<&'a [String]>,
    /// From this instant on the credential is expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    expire_time: Option<String>,
    /// How often the key may be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<Policy>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::key::tests::{bare, full};
    use serde_json::Value;
    use talos_engine::Refusal;

    fn credential(body: &[u8]) -> Option<String> {
        parse_request(body)
            .ok()
            .map(|request| request.credential.into_owned())
    }

    fn reason(body: &[u8]) -> Option<Reason> {
        parse_request(body).err().map(|error| error.reason())
    }

    #[test]
    fn plain_bodies_are_read_in_place() {
        for body in [
            r#"{"credential":"ory_ak_v1_a_b"}"#,
            " { \"credential\" : \"ory_ak_v1_a_b\" } ",
            "\r\n\t{\n\"credential\"\r:\t\"ory_ak_v1_a_b\"\n}\n",
        ] {
            assert_eq!(
                plain_credential(body.as_bytes()),
                Some("ory_ak_v1_a_b"),
                "{body}"
            );
        }
        assert_eq!(
            plain_credential("{\"credential\":\"é🔑\u{7f}\"}".as_bytes()),
            Some("é🔑\u{7f}")
        );
    }

    #[test]
    fn other_bodies_are_read_too() {
        let table = [
            (r#"{"credential":"a\u0062c"}"#, "abc"),
            (r#"{"credential":"a\"b"}"#, "a\"b"),
            (r#"{"cred\u0065ntial":"abc"}"#, "abc"),
            (r#"{"credential":"abc","other":[{}]}"#, "abc"),
            (r#"{"other":null,"credential":"abc"}"#, "abc"),
            (r#"{"credential":"abc","expected_audiences":[]}"#, "abc"),
            (r#"{"credential":"abc","expected_audiences":null}"#, "abc"),
        ];
        for (body, wanted) in table {
            assert_eq!(plain_credential(body.as_bytes()), None, "{body}");
            assert_eq!(
                credential(body.as_bytes()).as_deref(),
                Some(wanted),
                "{body}"
            );
        }
        let request = parse_request(br#"{"expected_audiences":["a","b\n"],"credential":"c"}"#)
            .expect("a request");
        assert!(matches!(request.credential, Cow::Borrowed("c")));
        assert_eq!(request.expected_audiences, ["a", "b\n"]);
    }

    #[test]
    fn a_credential_is_required() {
        for body in [
            "",
            "  ",
            "{}",
            r#"{"credential":""}"#,
            r#"{"credential":null}"#,
            r#"{"Credential":"x"}"#,
            "{ } ",
        ] {
            assert_eq!(
                reason(body.as_bytes()),
                Some(Reason::CredentialRequired),
                "{body}"
            );
        }
    }

    #[test]
    fn bad_bodies() {
        let bodies: &[&[u8]] = &[
            b"{",
            b"null",
            b"[\"credential\"]",
            b"{\"credential\":5}",
            b"{\"credential\":[\"a\"]}",
            b"{\"credential\":\"a\"",
            b"{\"credential\":\"a}",
            b"{\"credential\":\"a\"}x",
            b"{\"credential\":\"a\"}{}",
            b"{\"credential\":\"a\"}\0",
            b"{\"credential\":\"a\",}",
            b"{\"credential\":\"a\nb\"}",
            b"{\"credential\":\"a\xff\"}",
            b"{\"credential\":\"\\ud800\"}",
            b"{\"credential\":\"a\",\"credential\":\"b\"}",
            b"{\"credential\" \"a\"}",
            b"{\x0c\"credential\":\"a\"}",
            b"\xef\xbb\xbf{\"credential\":\"a\"}",
            br#"{"credential":"a","expected_audiences":"b"}"#,
            br#"{"credential":"a","expected_audiences":[1]}"#,
            br#"{"credential":"a","expected_audiences":[""]}"#,
        ];
        for body in bodies {
            assert_eq!(
                reason(body),
                Some(Reason::BadRequest),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn limits_hold_at_both_edges() {
        let sized =
            |bytes: usize| format!("{{\"credential\":\"{}\"}}", "x".repeat(bytes)).into_bytes();
        assert!(credential(&sized(limits::CREDENTIAL_BYTES)).is_some());
        assert_eq!(
            reason(&sized(limits::CREDENTIAL_BYTES + 1)),
            Some(Reason::BadRequest)
        );
        // Escapes take more room in the body than in the credential, whose bytes count.
        let escaped = |count: usize| {
            format!("{{\"credential\":\"{}\"}}", "\\u00e9".repeat(count)).into_bytes()
        };
        assert!(credential(&escaped(limits::CREDENTIAL_BYTES / 2)).is_some());
        assert_eq!(
            reason(&escaped(limits::CREDENTIAL_BYTES / 2 + 1)),
            Some(Reason::BadRequest)
        );
        let audiences = |count: usize, chars: usize| {
            let list = vec![format!("\"{}\"", "é".repeat(chars)); count].join(",");
            format!("{{\"credential\":\"a\",\"expected_audiences\":[{list}]}}").into_bytes()
        };
        assert!(credential(&audiences(16, 255)).is_some());
        assert_eq!(reason(&audiences(17, 1)), Some(Reason::BadRequest));
        assert_eq!(reason(&audiences(1, 256)), Some(Reason::BadRequest));
    }

    /// A small generator with a fixed seed (Marsaglia's xorshift64*), so that a failure repeats.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
            usize::try_from(high).expect("31 bits") % bound
        }
    }

    #[test]
    fn both_readers_agree() {
        let seeds: [&[u8]; 6] = [
            br#"{"credential":"ory_ak_v1_4JDbVW_8aBcD"}"#,
            b" {\r\n\t\"credential\" : \"a b\" }\n",
            "{\"credential\":\"é🔑\"}".as_bytes(),
            br#"{"credential":""}"#,
            br#"{"credential":"a\u0041"}"#,
            br#"{"credential":"a","expected_audiences":["b"]}"#,
        ];
        let alphabet = b"{}[]:,\"\\ \t\n\rcredntial\0\x01\x1f\x7f\x80\xc3\xa9\xff0nul";
        let mut random = Random(0x7A10_5EED);
        let mut read_in_place = 0;
        for round in 0..200_000 {
            let mut body = seeds[random.below(seeds.len())].to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(body.len() + 1);
                let byte = alphabet[random.below(alphabet.len())];
                match random.below(4) {
                    0 => body.insert(at, byte),
                    1 if at < body.len() => body[at] = byte,
                    2 if at < body.len() => drop(body.remove(at)),
                    3 => body.truncate(at.max(body.len() / 2)),
                    _ => body.push(byte),
                }
            }
            if let Some(credential) = plain_credential(&body) {
                read_in_place += 1;
                let shown = String::from_utf8_lossy(&body).into_owned();
                let strict = parse_any(&body)
                    .unwrap_or_else(|error| panic!("round {round}: {shown}: {error}"));
                assert_eq!(strict.credential, credential, "round {round}: {shown}");
                assert!(
                    strict.expected_audiences.is_empty(),
                    "round {round}: {shown}"
                );
            }
        }
        assert!(read_in_place > 20_000, "{read_in_place}");
    }

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
            let value: Value =
                serde_json::from_slice(&render_valid(&record, &issuer)).expect("JSON");
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
}
