//! Every route under every method, and paths that are no route.

use std::borrow::Cow;

use talos_model::KeyId;

use super::*;

const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

/// A path of this template.
fn path_of(template: &'static str) -> String {
    path_with(template, ID)
}

/// The path of this template with this parameter.
fn path_with(template: &'static str, id: &str) -> String {
    match parameter(template) {
        Some(name) => template.replace(&format!("{{{name}}}"), id),
        None => template.to_owned(),
    }
}

fn target(method: &str, path: &str) -> Option<(Target, Option<String>)> {
    match find(method, path) {
        Match::Found { target, key_id, .. } => Some((target, key_id.decode().map(Cow::into_owned))),
        _ => None,
    }
}

#[test]
fn every_route_is_found_under_its_methods_and_no_other() {
    for route in ROUTES {
        let allow: Vec<_> = route.methods.iter().map(|(method, _)| *method).collect();
        assert_eq!(allow.join(", "), route.allow, "{}", route.template);
        assert_eq!(
            allow.contains(&"GET"),
            allow.contains(&"HEAD"),
            "{}",
            route.template
        );
        let path = path_of(route.template);
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "",
        ] {
            match route.methods.iter().find(|(name, _)| *name == method) {
                Some(&(_, wanted)) => {
                    let id = if path == route.template { "" } else { ID };
                    assert_eq!(
                        target(method, &path),
                        Some((wanted, Some(id.to_owned()))),
                        "{method} {path}"
                    );
                    let resolution = match wanted {
                        Target::Hot(hot) => Resolution::Hot(hot),
                        Target::Control(endpoint) => Resolution::Control(ControlRoute {
                            endpoint,
                            method,
                            template: route.template,
                            key_id: PathId::new(id),
                        }),
                    };
                    assert_eq!(
                        resolve(Surface::All, method, &path),
                        resolution,
                        "{method} {path}"
                    );
                }
                None => assert_eq!(
                    resolve(Surface::All, method, &path),
                    Resolution::MethodNotAllowed(route.allow),
                    "{method} {path}"
                ),
            }
        }
    }
}

#[test]
fn surfaces_are_parts_of_the_whole() {
    let templates = |surface: Surface| -> Vec<&str> {
        let all = ROUTES.iter().map(|route| route.template);
        all.filter(|template| surface.serves(&path_of(template)))
            .collect()
    };
    assert_eq!(templates(Surface::All).len(), ROUTES.len());
    assert_eq!(
        templates(Surface::Public),
        [
            "/health/alive",
            "/health/ready",
            "/v2alpha1/apiKeys:selfRevoke",
            "/v2alpha1/derivedKeys/jwks.json",
        ]
    );
    assert_eq!(
        templates(Surface::Data),
        [
            "/v2alpha1/admin/apiKeys:verify",
            "/v2alpha1/admin/apiKeys:batchVerify",
            "/health/alive",
            "/health/ready",
            "/v2alpha1/apiKeys:selfRevoke",
            "/v2alpha1/derivedKeys/jwks.json",
            "/verify",
        ]
    );
    let admin = templates(Surface::Admin);
    for template in templates(Surface::All) {
        let wanted = template.starts_with("/v2alpha1/admin/")
            || template.starts_with("/keys")
            || ["/verify", "/health/alive", "/health/ready"].contains(&template)
            || template == "/v2alpha1/derivedKeys/jwks.json";
        assert_eq!(admin.contains(&template), wanted, "{template}");
    }
    for path in [
        "/keysx",
        "/verify/",
        "/v2alpha1/administrator",
        "/v2alpha1/admin",
        "/version",
    ] {
        assert!(!Surface::Admin.serves(path), "{path}");
    }
}

#[test]
fn what_a_surface_does_not_have_is_unknown_under_every_method() {
    for route in ROUTES {
        let path = path_of(route.template);
        for surface in [Surface::Admin, Surface::Data, Surface::Public] {
            for method in ["GET", "POST", "DELETE", "PUT"] {
                let wanted = if surface.serves(&path) {
                    resolve(Surface::All, method, &path)
                } else {
                    Resolution::NotFound
                };
                assert_eq!(
                    resolve(surface, method, &path),
                    wanted,
                    "{surface:?} {method} {path}"
                );
            }
        }
    }
}

#[test]
fn no_path_matches_two_templates() {
    for route in ROUTES {
        let path = path_with(route.template, "a:b");
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
        "/keys/",
        "/keys//",
        "/keys/a/",
        "/keys/a:b",
        "/keys/a/b",
        "/verify/",
    ] {
        assert_eq!(
            resolve(Surface::All, "GET", path),
            Resolution::NotFound,
            "{path}"
        );
        assert_eq!(
            resolve(Surface::All, "POST", path),
            Resolution::NotFound,
            "{path}"
        );
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
            target("GET", &path),
            Some((Target::Control(Endpoint::GetIssuedKey), decoded.clone())),
            "{path}"
        );
        let path = format!("{path}:revoke");
        assert_eq!(
            target("POST", &path),
            Some((Target::Control(Endpoint::RevokeIssuedKey), decoded)),
            "{path}"
        );
    }
    let path = "/v2alpha1/admin/apiKeys/a:revoke:revoke";
    assert_eq!(
        target("POST", path),
        Some((
            Target::Control(Endpoint::RevokeKey),
            Some("a:revoke".to_owned())
        ))
    );
    let path = "/v2alpha1/admin/issuedApiKeys/a%3Arevoke";
    assert_eq!(
        target("GET", path),
        Some((
            Target::Control(Endpoint::GetIssuedKey),
            Some("a:revoke".to_owned())
        ))
    );
}

#[test]
fn only_an_id_is_one() {
    let imported = "ab".repeat(32);
    let escaped = ID.replace('-', "%2D");
    let kind = |raw: &str| {
        let id = PathId::new(raw).parse();
        (
            id.issued().map_err(|error| error.status()),
            id.imported().map_err(|error| error.status()),
            id.any().map_err(|error| error.status()),
        )
    };
    let key_id = |text: &str| text.parse::<KeyId>().expect("a key id");
    let token = |raw: &str| {
        let id = PathId::new(raw).parse().admin_token();
        id.map(|id| id.to_string()).map_err(|error| error.status())
    };
    for issued in [ID, &escaped] {
        assert_eq!(kind(issued), (Ok(key_id(ID)), Err(404), Ok(key_id(ID))));
        assert_eq!(token(issued), Ok(ID.to_owned()));
    }
    let capitals = ID.to_ascii_uppercase();
    assert_eq!(kind(&capitals), kind(ID));
    assert_eq!(token(&imported), Err(404));
    let digest = key_id(&imported);
    assert_eq!(kind(&imported.to_ascii_uppercase()), kind(&imported));
    assert_eq!(kind(&imported), (Err(404), Ok(digest), Ok(digest)));
    for raw in [
        "x",
        "",
        "%",
        "%2f",
        "%00",
        &format!("{ID}%20"),
        &ID.replace('-', "%252D"),
    ] {
        assert_eq!(kind(raw), (Err(404), Err(404), Err(404)), "{raw}");
        assert_eq!(token(raw), Err(404), "{raw}");
    }
}
