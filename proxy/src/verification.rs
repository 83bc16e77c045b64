//! Which requests are verifications, what their answers depend on, and which answers may be kept.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, PRAGMA, SET_COOKIE, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use talos_api::fleet::MIN_POSITION_HEADER;
use talos_api::verify::parse_request;
use talos_engine::CacheMode;
use talos_engine::limits::CREDENTIAL_BYTES;

use crate::cache::QuestionDigest;
use crate::changes::Subject;
use crate::forward::DECIDING;

/// Tells where an answer comes from.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("ory-talos-cache");

const VERIFY_PATH: &str = "/v2alpha1/admin/apiKeys:verify";
const SHORT_PATH: &str = "/verify";
/// The headers that only answers about rate-limited keys have.
const RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    hyper::header::RETRY_AFTER,
];

/// Where a verification names its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the body.
    Body,
    /// In `Authorization: Bearer`, without a body.
    Bearer,
}

impl Form {
    /// The form of a verification; `None` for every other request. A query belongs to no verification, and what it may
    /// mean is the upstream's business.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        if parts.uri.query().is_some() {
            return None;
        }
        match (parts.uri.path(), &parts.method) {
            (VERIFY_PATH, &Method::POST) => Some(Self::Body),
            (SHORT_PATH, &Method::GET | &Method::POST) => Some(Self::Bearer),
            _ => None,
        }
    }
}

/// A verification that a kept answer may answer. It has no `Debug`, because the digest of a weak credential is as good
/// as the credential.
pub(crate) struct Question {
    /// Over all that the answer may depend on.
    pub(crate) digest: QuestionDigest,
    /// The credential as a subject of changes.
    pub(crate) credential: Subject,
}

impl Question {
    /// What is asked by a request with these headers (as the upstream gets them) and this body, of the host of that name.
    /// `None` when the upstream will refuse it, or may understand it in another way.
    pub(crate) fn new(form: Form, host: &str, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let (credential, audiences) = match form {
            Form::Body => {
                let request = parse_request(body).ok()?;
                (request.credential, request.expected_audiences)
            }
            Form::Bearer => (bearer(headers).filter(|_| body.is_empty())?, Vec::new()),
        };
        let mut digest = Lengths(Sha256::new());
        digest.part(&[form as u8]);
        digest.part(host.as_bytes());
        digest.part(credential.as_bytes());
        digest.count(audiences.len());
        for audience in &audiences {
            digest.part(audience.as_bytes());
        }
        for name in &DECIDING {
            digest.count(headers.get_all(name).iter().count());
            for value in headers.get_all(name) {
                digest.part(value.as_bytes());
            }
        }
        Some(Self {
            digest: digest.0.finalize().into(),
            credential: Subject::credential(&credential),
        })
    }
}

/// A hash of parts that cannot run into each other.
struct Lengths(Sha256);

impl Lengths {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn part(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }
}

/// The credential of the only `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    let credential = credential.trim_matches(' ');
    let fits = (1..=CREDENTIAL_BYTES).contains(&credential.len());
    (scheme.eq_ignore_ascii_case("Bearer") && fits).then_some(Cow::Borrowed(credential))
}

/// What the request says about caches: `no-store` wins over `no-cache`. Who demands a position must not get an older answer.
pub(crate) fn cache_mode(headers: &HeaderMap) -> CacheMode {
    let has = |name: HeaderName, directive: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|value| list_has(value.as_bytes(), directive))
    };
    if has(CACHE_CONTROL, "no-store") || has(PRAGMA, "no-store") {
        CacheMode::Bypass
    } else if has(CACHE_CONTROL, "no-cache")
        || has(PRAGMA, "no-cache")
        || headers.contains_key(MIN_POSITION_HEADER)
    {
        CacheMode::Refresh
    } else {
        CacheMode::Use
    }
}

/// Whether a comma-separated list has this member, in any case.
fn list_has(list: &[u8], member: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}

/// What an answer means for the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The credential holds: the answer may be kept.
    Keep {
        /// The key that the credential belongs to.
        key_id: String,
        /// How long it will hold; `None` = without an end.
        rest: Option<Duration>,
    },
    /// The credential holds no longer, whoever asks.
    Ended,
    /// Nothing that may be kept.
    Nothing,
}

/// The fields of an answer that matter here.
#[derive(Deserialize)]
struct Verdict {
    is_valid: bool,
    key_id: Option<String>,
    expire_time: Option<String>,
    error_code: Option<String>,
    rate_limit_policy: Option<IgnoredAny>,
    rate_limit_remaining: Option<IgnoredAny>,
    rate_limit_reset_time: Option<IgnoredAny>,
}

impl Verdict {
    fn is_rate_limited(&self) -> bool {
        self.rate_limit_policy.is_some()
            || self.rate_limit_remaining.is_some()
            || self.rate_limit_reset_time.is_some()
    }
}

/// What is to be learned from an answer.
pub(crate) fn lesson(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Lesson {
    let verdict: Verdict = match serde_json::from_slice(body) {
        Ok(verdict) if status == StatusCode::OK => verdict,
        _ => return Lesson::Nothing,
    };
    if !verdict.is_valid {
        let has_ended = ["EXPIRED", "NOT_FOUND", "REVOKED"]
            .map(|code| format!("VERIFICATION_ERROR_{code}"))
            .iter()
            .any(|code| Some(code) == verdict.error_code.as_ref());
        return if has_ended {
            Lesson::Ended
        } else {
            Lesson::Nothing
        };
    }
    if verdict.is_rate_limited() || !may_be_kept(headers) {
        return Lesson::Nothing;
    }
    let rest = match verdict.expire_time.map(|time| time.parse::<Timestamp>()) {
        None => None,
        // Already past is no time left.
        Some(Ok(end)) => {
            Some(Duration::try_from(now.until(end).unwrap_or_default()).unwrap_or_default())
        }
        Some(Err(_)) => return Lesson::Nothing,
    };
    verdict
        .key_id
        .map_or(Lesson::Nothing, |key_id| Lesson::Keep { key_id, rest })
}

/// Whether an answer with these headers holds for everybody who asks the same.
fn may_be_kept(headers: &HeaderMap) -> bool {
    let has_any = |name: HeaderName, members: &[&str]| {
        headers.get_all(name).iter().any(|value| {
            members
                .iter()
                .any(|member| list_has(value.as_bytes(), member))
        })
    };
    let varies = headers.get_all(VARY).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|name| {
            let name = HeaderName::from_bytes(name.trim_ascii());
            !name.is_ok_and(|name| DECIDING.contains(&name))
        })
    });
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next();
        kind.is_some_and(|kind| {
            kind.trim_ascii()
                .eq_ignore_ascii_case(talos_api::control::CONTENT_TYPE.as_bytes())
        })
    });
    is_json
        && !varies
        && !headers.contains_key(SET_COOKIE)
        && !RATE_LIMIT.iter().any(|name| headers.contains_key(name))
        && !has_any(CACHE_CONTROL, &["no-cache", "no-store", "private"])
}

#[cfg(test)]
mod tests;
