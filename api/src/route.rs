//! Finds the endpoint that a method and a path name. The data plane asks once a request and hands
//! the result to the control plane, so that a route exists in both or in neither. Route templates
//! are written in this module only; metrics take their labels from here.

mod endpoint;
mod path_id;
mod surface;
mod table;

use table::ROUTES;
use talos_model::Permission;

pub use endpoint::{Endpoint, HotRoute, Target};
pub use path_id::{PathId, PathKeyId};
pub use surface::{Surface, may_allow_every_origin};
pub use table::BATCH_IMPORT_PATHS;
pub(crate) use table::{operations, parameter};

/// What the data plane does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution<'a> {
    /// Answer in place.
    Hot(HotRoute),
    /// Hand over to the control plane.
    Control(ControlRoute<'a>),
    /// Answer 404.
    NotFound,
    /// Answer 405 with this `Allow` header.
    MethodNotAllowed(&'static str),
}

impl Resolution<'_> {
    /// What the route asks of the one who uses it; `None` = anybody may use it, or there is no
    /// route.
    #[must_use]
    pub fn permission(&self) -> Option<Permission> {
        match self {
            Self::Hot(hot) => hot.permission(),
            Self::Control(route) => route.endpoint.permission(),
            Self::NotFound | Self::MethodNotAllowed(_) => None,
        }
    }

    /// Whether the route shows or changes what belongs to one tenant. The others concern the whole
    /// server, or nothing.
    #[must_use]
    #[inline]
    pub fn concerns_tenant(&self) -> bool {
        match self {
            Self::Hot(hot) => !matches!(hot, HotRoute::Alive | HotRoute::Ready),
            Self::Control(route) => route.endpoint.concerns_tenant(),
            Self::NotFound | Self::MethodNotAllowed(_) => false,
        }
    }
}

/// A route of the control plane, as found for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRoute<'a> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The method, as the table of routes spells it.
    pub method: &'static str,
    /// The path with parameters in place of values, for logs and metrics.
    pub template: &'static str,
    /// The id in the path.
    pub key_id: PathId<'a>,
}

/// What a method and a path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// A route.
    Found {
        /// What the route leads to.
        target: Target,
        /// The method, as the table of routes spells it.
        method: &'static str,
        /// The path with parameters in place of values, for logs and metrics.
        template: &'static str,
        /// The id in the path.
        key_id: PathId<'a>,
    },
    /// No such path.
    NotFound,
    /// The path exists, but not for this method. Holds the value of the `Allow` header.
    MethodNotAllowed(&'static str),
}

/// Finds the endpoint of `method` and `path`. The path is percent-encoded and has no query. Only
/// the id is decoded, so a literal segment has one spelling. A trailing slash makes a different
/// path.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Match<'a> {
    for route in ROUTES {
        let Some(key_id) = route.capture(path) else {
            continue;
        };
        return route
            .methods
            .iter()
            .find(|(name, _)| *name == method)
            .map_or(Match::MethodNotAllowed(route.allow), |&(method, target)| {
                Match::Found {
                    target,
                    method,
                    template: route.template,
                    key_id: PathId::new(key_id),
                }
            });
    }
    Match::NotFound
}

/// Tells the data plane what to do with `method` and `path` (see [`find`]) on `surface`.
#[must_use]
pub fn resolve<'a>(surface: Surface, method: &str, path: &'a str) -> Resolution<'a> {
    if !surface.serves(path) {
        return Resolution::NotFound;
    }
    match find(method, path) {
        Match::Found {
            target: Target::Hot(hot),
            ..
        } => Resolution::Hot(hot),
        Match::Found {
            target: Target::Control(endpoint),
            method,
            template,
            key_id,
        } => Resolution::Control(ControlRoute {
            endpoint,
            method,
            template,
            key_id,
        }),
        Match::NotFound => Resolution::NotFound,
        Match::MethodNotAllowed(allow) => Resolution::MethodNotAllowed(allow),
    }
}

#[cfg(test)]
mod tests;
