//! A derived token as verification needs it once its signature is proven: the few facts that are checked on every request,
//! and the answer.

use std::mem;

use talos_credentials::token::Claims;
use talos_model::cidr::{self, Cidr};
use talos_model::{Query, Refusal, Verdict};

use crate::render::RenderTokenBody;

/// See the module.
#[derive(Debug)]
pub struct TokenFacts {
    /// The clock skew is in both.
    valid_from_ms: i64,
    expires_ms: i64,
    audiences: Box<[Box<str>]>,
    allowed_cidrs: Box<[Cidr]>,
    body: Box<[u8]>,
}

impl TokenFacts {
    /// The facts of proven `claims`, judged with clocks that may differ by `skew_s` seconds.
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

    /// What is to be said of the token if nothing else ends it. A pure function of facts, query and its time.
    ///
    /// A token that names audiences is for these alone, so it is refused where none is expected (RFC 7519 §4.1.3).
    pub fn judge(&self, query: &Query<'_>) -> Verdict<'_> {
        let now_ms = query.now.0;
        if self.expires_ms <= now_ms || now_ms < self.valid_from_ms {
            return Verdict::Refused(Refusal::Expired);
        }
        let expected = query.expected_audiences;
        let is_meant = if expected.is_empty() {
            self.audiences.is_empty()
        } else {
            self.audiences
                .iter()
                .any(|audience| expected.contains(&&**audience))
        };
        if !is_meant {
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
        // Two words of counts stand before what an `Arc` shares.
        2 * mem::size_of::<usize>()
            + mem::size_of::<Self>()
            + mem::size_of_val(&*self.audiences)
            + audiences
            + mem::size_of_val(&*self.allowed_cidrs)
            + self.body.len()
    }
}
