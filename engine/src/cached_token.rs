//! A cached token: a derived token with a proven signature, reduced to what every verification
//! checks, and the rendered answer.

use std::mem;

use talos_credentials::token::Claims;
use talos_model::cidr::{self, Cidr};
use talos_model::{Query, Refusal, Verdict};

use crate::render::RenderTokenBody;

/// A proven token as verification needs it.
#[derive(Debug)]
pub struct CachedToken {
    /// Start and end of its validity, in Unix milliseconds; both include the clock skew.
    valid_from_ms: i64,
    expires_ms: i64,
    audiences: Box<[Box<str>]>,
    allowed_cidrs: Box<[Cidr]>,
    body: Box<[u8]>,
}

impl CachedToken {
    /// The cached token of proven `claims`. Clocks may differ by `skew_s` seconds.
    pub fn new(claims: &Claims, skew_s: u64, render: RenderTokenBody) -> Self {
        let (from, until) = claims.window(skew_s);
        Self {
            valid_from_ms: from.0,
            expires_ms: until.0,
            audiences: claims.audiences.iter().map(|a| a.as_str().into()).collect(),
            allowed_cidrs: claims.allowed_cidrs.clone().into_boxed_slice(),
            body: render(claims).into_boxed_slice(),
        }
    }

    /// The verdict on the token, its key aside. A pure function of the token and the query.
    ///
    /// A token that names audiences is only for these, so it is refused if the query expects none
    /// (RFC 7519 §4.1.3).
    pub fn judge(&self, query: &Query<'_>) -> Verdict<'_> {
        let now_ms = query.now.0;
        if self.expires_ms <= now_ms || now_ms < self.valid_from_ms {
            return Verdict::Refused(Refusal::Expired);
        }
        let expected = query.expected_audiences;
        let audience_matches = if expected.is_empty() {
            self.audiences.is_empty()
        } else {
            self.audiences
                .iter()
                .any(|audience| expected.contains(&&**audience))
        };
        if !audience_matches {
            return Verdict::Refused(Refusal::AudienceMismatch);
        }
        if !cidr::allow(&self.allowed_cidrs, query.client_ip) {
            return Verdict::Refused(Refusal::IpNotAllowed);
        }
        Verdict::Valid {
            body: &self.body,
            rate_limit: None,
        }
    }

    /// The answer for a valid token.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let audiences: usize = self.audiences.iter().map(|audience| audience.len()).sum();
        // An `Arc` stores two counts before its value.
        2 * mem::size_of::<usize>()
            + mem::size_of::<Self>()
            + mem::size_of_val(&*self.audiences)
            + audiences
            + mem::size_of_val(&*self.allowed_cidrs)
            + self.body.len()
    }
}
