//! Issuers whose tokens are still accepted, some of them for a time.

use jiff::Timestamp;
use talos_engine::RetiredIssuer;
use talos_engine::clock::UnixMillis;

use crate::kind;

/// An issuer, and the RFC 3339 instant from which on its tokens are refused.
pub(crate) fn read(value: &str, expires_at: Option<&str>) -> Result<RetiredIssuer, String> {
    let instant = |text: &str| {
        let instant: Timestamp = text
            .parse()
            .map_err(|_| "its expires_at is no instant such as 2027-01-31T00:00:00Z".to_owned())?;
        Ok::<_, String>(UnixMillis(instant.as_millisecond()))
    };
    Ok(RetiredIssuer {
        value: kind::text(value)?,
        expires_at: expires_at.map(instant).transpose()?,
    })
}
