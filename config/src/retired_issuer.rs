//! Retired issuers: their tokens are still accepted, some of them only until a given time.

use jiff::Timestamp;
use talos_credentials::RetiredIssuer;
use talos_model::clock::UnixMillis;

use crate::scalar;

/// Reads an issuer and the RFC 3339 time from which its tokens are refused.
pub(crate) fn read(value: &str, expires_at: Option<&str>) -> Result<RetiredIssuer, String> {
    let instant = |text: &str| {
        let instant: Timestamp = text
            .parse()
            .map_err(|_| "its expires_at is no instant such as 2027-01-31T00:00:00Z".to_owned())?;
        Ok::<_, String>(UnixMillis(instant.as_millisecond()))
    };
    Ok(RetiredIssuer {
        value: scalar::text(value)?,
        expires_at: expires_at.map(instant).transpose()?,
    })
}
