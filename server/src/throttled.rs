//! Refuses clients that have failed too often, before anything of their requests is done.

use talos_api::error::ApiError;
use talos_api::route::{Endpoint, HotRoute, Resolution};
use talos_model::TenantId;

use crate::authorize::Caller;
use crate::core::Core;
use crate::parser::Head;
use crate::request_context::RequestContext;
use crate::step::Input;
use crate::throttle::{Offence, Throttle};

/// The error for a request of a client that has failed too often.
pub(crate) fn check(
    throttle: &Throttle,
    core: &Core,
    resolution: &Resolution<'_>,
    caller: Option<&Caller>,
    head: &Head<'_, '_>,
    input: Input<'_>,
) -> Option<ApiError> {
    // The bounds are those of an address, whatever the tenant.
    let origin =
        || RequestContext::new(core, head, TenantId::SINGLE, input.remote_ip, input.now).origin();
    let throttled = &core.metrics.throttled;
    let (wait_s, counter, message) = match resolution {
        Resolution::Hot(HotRoute::Verify | HotRoute::BatchVerify | HotRoute::VerifyBearer) => (
            throttle.wait_s(Offence::Failure, origin(), core.now())?,
            &throttled.failures,
            "too many credentials from this address were not valid; try again later",
        ),
        Resolution::Control(route)
            if route.endpoint == Endpoint::SelfRevoke && input.reached.is_none() =>
        {
            let mut origin = origin();
            // Another node that forwards the request says who its client is.
            origin.client = caller.map_or(origin.client, |caller| caller.address(origin.client));
            (
                throttle.take(Offence::SelfRevocation, origin, core.now())?,
                &throttled.self_revocations,
                "too many keys were revoked from this address; try again later",
            )
        }
        _ => return None,
    };
    counter.increment();
    Some(ApiError::too_many_requests(message, wait_s))
}
