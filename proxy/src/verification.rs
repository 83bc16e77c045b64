//! Which requests are verifications, their cache keys, and which answers may be stored.

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
use talos_model::CacheMode;
use talos_model::limits::CREDENTIAL_BYTES;

use crate::cache::CacheKey;
use crate::changes::Subject;
use crate::forward::KEY_HEADERS;

/// Tells the client whether a response came from the cache (`HIT`) or the upstream (`MISS`).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("ory-talos-cache");

const VERIFY_PATH: &str = "/v2alpha1/admin/apiKeys:verify";
const SHORT_PATH: &str = "/verify";
/// Headers of answers about rate-limited keys.
const RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    hyper::header::RETRY_AFTER,
];

/// Where a verification carries its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialSource {
    /// In the body.
    Body,
    /// In `Authorization: Bearer`; the request has no body.
    Bearer,
}

impl CredentialSource {
    /// `None` for requests that are no verifications. That includes verifications with a query: the
    /// API defines none, so only the upstream can say what it means.
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

/// A verification that the cache may answer. It has no `Debug`: the digest of a weak credential can
/// be reversed by trying all of them, so it must not reach a log.
pub(crate) struct CacheableRequest {
    /// Where the answer is stored.
    pub(crate) key: CacheKey,
    /// The credential, to be invalidated when it ends.
    pub(crate) credential: Subject,
}

impl CacheableRequest {
    /// Derives the cache key. `host` is the name of the requested host, `headers` are those that
    /// the upstream gets. `None` when the upstream will reject the request or may read it
    /// differently than the proxy does.
    pub(crate) fn new(
        source: CredentialSource,
        host: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Self> {
        let (credential, audiences) = match source {
            CredentialSource::Body => {
                let request = parse_request(body).ok()?;
                (request.credential, request.expected_audiences)
            }
            CredentialSource::Bearer => (bearer(headers).filter(|_| body.is_empty())?, Vec::new()),
        };
        let mut hasher = KeyHasher(Sha256::new());
        hasher.part(&[source as u8]);
        hasher.part(host.as_bytes());
        hasher.part(credential.as_bytes());
        hasher.count(audiences.len());
        for audience in &audiences {
            hasher.part(audience.as_bytes());
        }
        // The credential itself, which is hashed above however it is spelt.
        let is_hashed =
            |name: &HeaderName| source == CredentialSource::Bearer && *name == AUTHORIZATION;
        for name in KEY_HEADERS.iter().filter(|name| !is_hashed(name)) {
            hasher.count(headers.get_all(name).iter().count());
            for value in headers.get_all(name) {
                hasher.part(value.as_bytes());
            }
        }
        Some(Self {
            key: hasher.0.finalize().into(),
            credential: Subject::credential(&credential),
        })
    }
}

/// Hashes each part with its length before it, so that no two lists of parts give the same input.
struct KeyHasher(Sha256);

impl KeyHasher {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn part(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }
}

/// The bearer credential; `None` unless there is exactly one `Authorization` header.
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

/// What the request allows the cache to do. `no-store` overrides `no-cache`. A request with a
/// minimum position is never answered from the cache, because a stored answer may be older.
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

/// What an answer of the upstream changes in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheAction {
    /// Store the answer: the credential is valid.
    Store {
        /// The key that the credential belongs to.
        key_id: String,
        /// Time until the credential expires; `None` = never.
        remaining: Option<Duration>,
    },
    /// Invalidate every answer about the credential: it is no longer valid for any client.
    InvalidateCredential,
    /// Remove the answer that is stored for this request, and store nothing.
    Remove,
}

/// The fields of an answer that decide about storing it.
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

/// Decides what an answer of the upstream changes in the cache.
pub(crate) fn cache_action(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> CacheAction {
    let verdict: Verdict = match serde_json::from_slice(body) {
        Ok(verdict) if status == StatusCode::OK => verdict,
        _ => return CacheAction::Remove,
    };
    if !verdict.is_valid {
        let has_ended = ["EXPIRED", "NOT_FOUND", "REVOKED"]
            .map(|code| format!("VERIFICATION_ERROR_{code}"))
            .iter()
            .any(|code| Some(code) == verdict.error_code.as_ref());
        return if has_ended {
            CacheAction::InvalidateCredential
        } else {
            CacheAction::Remove
        };
    }
    if verdict.is_rate_limited() || !is_storable(headers) {
        return CacheAction::Remove;
    }
    let remaining = match verdict.expire_time.map(|time| time.parse::<Timestamp>()) {
        None => None,
        // A time in the past leaves zero.
        Some(Ok(end)) => {
            Some(Duration::try_from(now.until(end).unwrap_or_default()).unwrap_or_default())
        }
        Some(Err(_)) => return CacheAction::Remove,
    };
    verdict
        .key_id
        .map_or(CacheAction::Remove, |key_id| CacheAction::Store {
            key_id,
            remaining,
        })
}

/// Whether an answer with these headers holds for every request with the same cache key.
fn is_storable(headers: &HeaderMap) -> bool {
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
            !name.is_ok_and(|name| KEY_HEADERS.contains(&name))
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
