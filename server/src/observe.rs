//! Verifications by administrators that are no uses of keys: `?observe=true`.
//!
//! A verification without a query costs one comparison of a length.

use talos_api::error::ApiError;
use talos_api::route::{HotRoute, Surface};
use talos_api::verify::parse_observe;
use talos_model::CacheMode;

use crate::parser::Head;

/// Whether a request for a hot route asks for an observation.
///
/// # Errors
/// 400 when the parameter is not valid, or the listener is not for administrators.
#[inline]
pub(crate) fn is_asked(
    head: &Head<'_, '_>,
    route: HotRoute,
    surface: Surface,
) -> Result<bool, ApiError> {
    if head.query.is_empty() || route.permission().is_none() {
        return Ok(false);
    }
    read(head.query, surface)
}

#[cold]
fn read(query: &str, surface: Surface) -> Result<bool, ApiError> {
    let is_asked = parse_observe(query)?;
    if is_asked && !surface.is_for_administrators() {
        return Err(ApiError::invalid_field(
            "observe",
            "is for administrators, whom this listener does not serve",
        ));
    }
    Ok(is_asked)
}

/// What the caches are for, as the fields and the query of an admitted request say.
#[inline]
pub(crate) fn cache_mode(head: &Head<'_, '_>) -> CacheMode {
    if !head.query.is_empty() && parse_observe(head.query) == Ok(true) {
        return CacheMode::Observe;
    }
    head.cache
}
