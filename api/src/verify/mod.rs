//! Verifying a credential: `POST /v2alpha1/admin/apiKeys:verify`.

mod observe;
#[cfg(test)]
mod random;
mod request;
mod response;

pub use crate::refusal::{refused_body, refused_code};
pub use observe::parse_observe;
pub use request::{VerifyRequest, parse_request};
pub use response::{render_valid, render_valid_token};

pub(crate) use observe::QUERY;
pub(crate) use request::{EXPECTED_AUDIENCES, HEADERS, REQUEST};
pub(crate) use response::Accepted;
