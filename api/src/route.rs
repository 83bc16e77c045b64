//! Which endpoint a method and a path name. The data plane and the control plane both ask the one table here, so that
//! a route exists in both or in neither.

use std::borrow::Cow;

use talos_engine::KeyId;

use crate::error::ApiError;
use crate::percent;

/// Endpoints that the data plane answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotRoute {
    /// Verify one credential.
    Verify,
    /// Verify many credentials.
    BatchVerify,
    /// Whether the process runs.
    Alive,
    /// Whether the process can do its work.
    Ready,
}

/// Everything that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Answered on the data plane.
    Hot(HotRoute),
    /// Make a key.
    IssueKey,
    /// Show issued keys, page by page.
    ListIssuedKeys,
    /// Show an issued key.
    GetIssuedKey,
    /// Change an issued key.
    UpdateIssuedKey,
    /// Replace an issued key.
    RotateIssuedKey,
    /// End an issued key.
    RevokeIssuedKey,
    /// Take over a key.
    ImportKey,
    /// Take over many keys.
    ImportKeys,
    /// Show imported keys, page by page.
    ListImportedKeys,
    /// Show an imported key.
    GetImportedKey,
    /// Change an imported key.
    UpdateImportedKey,
    /// Forget an imported key.
    DeleteImportedKey,
    /// End an imported key.
    RevokeImportedKey,
    /// End a key of either kind.
    RevokeKey,
    /// Make a token from a key.
    DeriveToken,
    /// End the key whose credential is shown.
    SelfRevoke,
    /// Show the public signing keys.
    Jwks,
    /// Show the version of the server.
    Version,
}

/// What the data plane does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Answer in place.
    Hot(HotRoute),
    /// Hand over to the control plane.
    Control,
    /// Answer 404.
    NotFound,
    /// Answer 405 with this `Allow` header.
    MethodNotAllowed(&'static str),
}

/// What a method and a path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// An endpoint.
    Found {
        /// Which one.
        endpoint: Endpoint,
        /// The path with parameters in place of values, for logs and metrics.
        template: &'static str,
        /// The key id of the path.
        key_id: PathId<'a>,
    },
    /// No such path.
    NotFound,
    /// The path exists for the methods listed, in the form of an `Allow` header.
    MethodNotAllowed(&'static str),
}

/// A key id as it stands in a path, percent-encoded. Empty when the template has no parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId<'a>(&'a str);

impl<'a> PathId<'a> {
    /// The id of an issued key.
    ///
    /// # Errors
    /// 404: a text that is no id, or an id of another kind, is simply one that nobody knows.
    pub fn issued(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Issued(_) => Ok(key_id),
            KeyId::Imported(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of an imported key.
    ///
    /// # Errors
    /// 404, as for [`Self::issued`].
    pub fn imported(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Imported(_) => Ok(key_id),
            KeyId::Issued(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of a key of any kind.
    ///
    /// # Errors
    /// 404: a text that is no id is simply one that nobody knows.
    pub fn any(self) -> Result<KeyId, ApiError> {
        let key_id = self.decode().and_then(|text| text.parse().ok());
        key_id.ok_or_else(ApiError::api_key_not_found)
    }

    /// The text, decoded exactly once; `None` when it cannot be.
    fn decode(self) -> Option<Cow<'a, str>> {
        percent::decode(self.0)
    }
}

struct Route {
    template: &'static str,
    /// The `Allow` header for other methods; a test holds it to `methods`.
    allow: &'static str,
    methods: &'static [(&'static str, Endpoint)],
}

/// The name of the only path parameter so far.
const PARAMETER: &str = "{key_id}";

/// Every path, the most frequent first.
static ROUTES: [Route; 19] = [
    post(
        "/v2alpha1/admin/apiKeys:verify",
        &[("POST", Endpoint::Hot(HotRoute::Verify))],
    ),
    post(
        "/v2alpha1/admin/apiKeys:batchVerify",
        &[("POST", Endpoint::Hot(HotRoute::BatchVerify))],
    ),
    get(
        "/health/alive",
        &[
            ("GET", Endpoint::Hot(HotRoute::Alive)),
            ("HEAD", Endpoint::Hot(HotRoute::Alive)),
        ],
    ),
    get(
        "/health/ready",
        &[
            ("GET", Endpoint::Hot(HotRoute::Ready)),
            ("HEAD", Endpoint::Hot(HotRoute::Ready)),
        ],
    ),
    Route {
        template: "/v2alpha1/admin/issuedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Endpoint::ListIssuedKeys),
            ("HEAD", Endpoint::ListIssuedKeys),
            ("POST", Endpoint::IssueKey),
        ],
    },
    Route {
        template: "/v2alpha1/admin/issuedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH",
        methods: &[
            ("GET", Endpoint::GetIssuedKey),
            ("HEAD", Endpoint::GetIssuedKey),
            ("PATCH", Endpoint::UpdateIssuedKey),
        ],
    },
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:rotate",
        &[("POST", Endpoint::RotateIssuedKey)],
    ),
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeIssuedKey)],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Endpoint::ListImportedKeys),
            ("HEAD", Endpoint::ListImportedKeys),
            ("POST", Endpoint::ImportKey),
        ],
    },
    post(
        "/v2alpha1/admin/importedApiKeys:batchCreate",
        &[("POST", Endpoint::ImportKeys)],
    ),
    // An older name of the same.
    post(
        "/v2alpha1/admin/importedApiKeys:batchImport",
        &[("POST", Endpoint::ImportKeys)],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH, DELETE",
        methods: &[
            ("GET", Endpoint::GetImportedKey),
            ("HEAD", Endpoint::GetImportedKey),
            ("PATCH", Endpoint::UpdateImportedKey),
            ("DELETE", Endpoint::DeleteImportedKey),
        ],
    },
    post(
        "/v2alpha1/admin/importedApiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeImportedKey)],
    ),
    post(
        "/v2alpha1/admin/apiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeKey)],
    ),
    post(
        "/v2alpha1/admin/apiKeys:derive",
        &[("POST", Endpoint::DeriveToken)],
    ),
    post(
        "/v2alpha1/apiKeys:selfRevoke",
        &[("POST", Endpoint::SelfRevoke)],
    ),
    get(
        "/v2alpha1/derivedKeys/jwks.json",
        &[("GET", Endpoint::Jwks), ("HEAD", Endpoint::Jwks)],
    ),
    get(
        "/v2alpha1/admin/derivedKeys/jwks.json",
        &[("GET", Endpoint::Jwks), ("HEAD", Endpoint::Jwks)],
    ),
    get(
        "/version",
        &[("GET", Endpoint::Version), ("HEAD", Endpoint::Version)],
    ),
];

const fn get(template: &'static str, methods: &'static [(&'static str, Endpoint)]) -> Route {
    Route {
        template,
        allow: "GET, HEAD",
        methods,
    }
}

const fn post(template: &'static str, methods: &'static [(&'static str, Endpoint)]) -> Route {
    Route {
        template,
        allow: "POST",
        methods,
    }
}

impl Route {
    /// The parameter of `path` (empty for a template without one), or `None` when it is another route's.
    fn capture<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, verb)) = self.template.split_once(PARAMETER) else {
            return (self.template == path).then_some("");
        };
        let segment = path.strip_prefix(before)?;
        // A custom verb begins at the last colon of the last segment; an id that holds a colon itself is
        // percent-encoded or comes before a verb.
        let (id, colon_verb) = segment.split_at(segment.rfind(':').unwrap_or(segment.len()));
        (colon_verb == verb && !id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// Finds the endpoint of `method` and `path`. The path comes without its query, percent-encoded; nothing but the key id
/// is ever decoded, so a literal part has one spelling. A trailing slash names another path.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Match<'a> {
    for route in &ROUTES {
        let Some(key_id) = route.capture(path) else {
            continue;
        };
        return route
            .methods
            .iter()
            .find(|(name, _)| *name == method)
            .map_or(Match::MethodNotAllowed(route.allow), |&(_, endpoint)| {
                Match::Found {
                    endpoint,
                    template: route.template,
                    key_id: PathId(key_id),
                }
            });
    }
    Match::NotFound
}

/// What the data plane does with `method` and `path` (see [`find`]).
#[must_use]
pub fn resolve(method: &str, path: &str) -> Resolution {
    match find(method, path) {
        Match::Found {
            endpoint: Endpoint::Hot(hot),
            ..
        } => Resolution::Hot(hot),
        Match::Found { .. } => Resolution::Control,
        Match::NotFound => Resolution::NotFound,
        Match::MethodNotAllowed(allow) => Resolution::MethodNotAllowed(allow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    fn endpoint(method: &str, path: &str) -> Option<(Endpoint, Option<String>)> {
        match find(method, path) {
            Match::Found {
                endpoint, key_id, ..
            } => Some((endpoint, key_id.decode().map(Cow::into_owned))),
            _ => None,
        }
    }

    #[test]
    fn every_route_is_found_under_its_methods_and_no_other() {
        for route in &ROUTES {
            let allow: Vec<_> = route.methods.iter().map(|(method, _)| *method).collect();
            assert_eq!(allow.join(", "), route.allow, "{}", route.template);
            assert_eq!(
                allow.contains(&"GET"),
                allow.contains(&"HEAD"),
                "{}",
                route.template
            );
            let path = route.template.replace(PARAMETER, ID);
            for method in [
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "",
            ] {
                match route.methods.iter().find(|(name, _)| *name == method) {
                    Some(&(_, wanted)) => {
                        let id = if path == route.template { "" } else { ID };
                        assert_eq!(
                            endpoint(method, &path),
                            Some((wanted, Some(id.to_owned()))),
                            "{method} {path}"
                        );
                        let resolution = match wanted {
                            Endpoint::Hot(hot) => Resolution::Hot(hot),
                            _ => Resolution::Control,
                        };
                        assert_eq!(resolve(method, &path), resolution, "{method} {path}");
                    }
                    None => assert_eq!(
                        resolve(method, &path),
                        Resolution::MethodNotAllowed(route.allow),
                        "{method} {path}"
                    ),
                }
            }
        }
    }

    #[test]
    fn no_path_matches_two_templates() {
        for route in &ROUTES {
            let path = route.template.replace(PARAMETER, "a:b");
            let matching = ROUTES
                .iter()
                .filter(|other| other.capture(&path).is_some())
                .count();
            assert!(matching <= 1, "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "",
            "/",
            "//",
            "/version/",
            "/Version",
            "/v2alpha1/admin/issuedApiKeys/",
            "/v2alpha1/admin/issuedApiKeys/a/b",
            "/v2alpha1/admin/issuedApiKeys/a/",
            "/v2alpha1/admin/issuedApiKeys//a",
            "/v2alpha1/admin/issuedApiKeys/:revoke",
            "/v2alpha1/admin/issuedApiKeys/a:Revoke",
            "/v2alpha1/admin/issuedApiKeys/a:revoke/",
            "/v2alpha1/admin/issuedApiKeys/a:",
            "/v2alpha1/admin/issuedApiKeys/a:revoke:b",
            "/v2alpha1/admin/issuedApiKeys/a%3Arevoke:b",
            "/v2alpha1/admin/apiKeys/a",
            "/v2alpha1/admin/apiKeys:verify/",
            "/v2alpha1/admin/apiKeys%3Averify",
            "/v2alpha1/apiKeys:verify",
        ] {
            assert_eq!(resolve("GET", path), Resolution::NotFound, "{path}");
            assert_eq!(resolve("POST", path), Resolution::NotFound, "{path}");
        }
    }

    #[test]
    fn ids_are_decoded_once_and_verbs_end_at_the_last_colon() {
        let table = [
            ("a%2Fb", Some("a/b")),
            ("a%2fb", Some("a/b")),
            ("a%252Fb", Some("a%2Fb")),
            ("%00", Some("\0")),
            ("%E2%82%AC", Some("€")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ];
        for (raw, decoded) in table {
            let decoded = decoded.map(str::to_owned);
            let path = format!("/v2alpha1/admin/issuedApiKeys/{raw}");
            assert_eq!(
                endpoint("GET", &path),
                Some((Endpoint::GetIssuedKey, decoded.clone())),
                "{path}"
            );
            let path = format!("{path}:revoke");
            assert_eq!(
                endpoint("POST", &path),
                Some((Endpoint::RevokeIssuedKey, decoded)),
                "{path}"
            );
        }
        let path = "/v2alpha1/admin/apiKeys/a:revoke:revoke";
        assert_eq!(
            endpoint("POST", path),
            Some((Endpoint::RevokeKey, Some("a:revoke".to_owned())))
        );
        let path = "/v2alpha1/admin/issuedApiKeys/a%3Arevoke";
        assert_eq!(
            endpoint("GET", path),
            Some((Endpoint::GetIssuedKey, Some("a:revoke".to_owned())))
        );
    }

    #[test]
    fn only_a_key_id_is_one() {
        let imported = "ab".repeat(32);
        let escaped = ID.replace('-', "%2D");
        let kind = |raw: &str| {
            let id = PathId(raw);
            (
                id.issued().map_err(|error| error.status()),
                id.imported().map_err(|error| error.status()),
                id.any().map_err(|error| error.status()),
            )
        };
        let key_id = |text: &str| text.parse::<KeyId>().expect("a key id");
        for issued in [ID, &escaped] {
            assert_eq!(kind(issued), (Ok(key_id(ID)), Err(404), Ok(key_id(ID))));
        }
        let digest = key_id(&imported);
        assert_eq!(kind(&imported), (Err(404), Ok(digest), Ok(digest)));
        for raw in [
            "x",
            "",
            "%",
            "%2f",
            "%00",
            &ID.to_uppercase(),
            &format!("{ID}%20"),
            &ID.replace('-', "%252D"),
        ] {
            assert_eq!(kind(raw), (Err(404), Err(404), Err(404)), "{raw}");
        }
    }
}
