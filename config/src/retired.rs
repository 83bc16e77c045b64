//! Retired issuers and secrets: what they made is still accepted, some of it only until a given
//! time.

use jiff::Timestamp;
use talos_credentials::{RetiredIssuer, RetiredSecret};
use talos_model::clock::UnixMillis;

use crate::input::ExpiringItem;
use crate::scalar;

/// Reads an issuer and the RFC 3339 time from which its tokens are refused.
pub(crate) fn issuer(item: &ExpiringItem) -> Result<RetiredIssuer, String> {
    Ok(RetiredIssuer {
        value: scalar::text(&item.value)?,
        expires_at: expiry(item)?,
    })
}

/// Reads a secret and the RFC 3339 time from which it is not accepted any more.
pub(crate) fn secret(item: &ExpiringItem) -> Result<RetiredSecret, String> {
    Ok(RetiredSecret {
        secret: scalar::secret(&item.value)?,
        expires_at: expiry(item)?,
    })
}

fn expiry(item: &ExpiringItem) -> Result<Option<UnixMillis>, String> {
    let instant = |text: &String| {
        let instant: Timestamp = text
            .parse()
            .map_err(|_| "its expires_at is no instant such as 2027-01-31T00:00:00Z".to_owned())?;
        Ok::<_, String>(UnixMillis(instant.as_millisecond()))
    };
    item.expires_at.as_ref().map(instant).transpose()
}
