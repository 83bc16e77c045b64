//! Which requests share a cache key, and which answers are stored.

use hyper::Request;

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().expect("a value"));
    }
    headers
}

fn digest(host: &str, lines: &[(&'static str, &str)], body: &str) -> Option<CacheKey> {
    let source = CredentialSource::Body;
    let request = CacheableRequest::new(source, host, &headers(lines), body.as_bytes());
    request.map(|request| request.key)
}

#[test]
fn verifications_are_known_by_method_and_path() {
    let table = [
        (
            "POST",
            "/v2alpha1/admin/apiKeys:verify",
            Some(CredentialSource::Body),
        ),
        ("GET", "/v2alpha1/admin/apiKeys:verify", None),
        ("POST", "/v2alpha1/admin/apiKeys:verify?a=b", None),
        ("POST", "/v2alpha1/admin/apiKeys:verify?", None),
        ("POST", "/v2alpha1/admin/apiKeys:verify/", None),
        ("POST", "/v2alpha1/admin/apiKeys:batchVerify", None),
        ("GET", "/verify", Some(CredentialSource::Bearer)),
        ("POST", "/verify", Some(CredentialSource::Bearer)),
        ("DELETE", "/verify", None),
    ];
    for (method, path, wanted) in table {
        let request = Request::builder().method(method).uri(path).body(());
        let (parts, ()) = request.expect("a request").into_parts();
        assert_eq!(CredentialSource::of(&parts), wanted, "{method} {path}");
    }
}

#[test]
fn requests_with_the_same_meaning_have_the_same_key() {
    let wanted = digest("h", &[("host", "h")], r#"{"credential":"abc"}"#);
    assert!(wanted.is_some());
    for body in [
        r#" { "credential" : "abc" } "#,
        r#"{"credential":"a\u0062c","other":1}"#,
        r#"{"expected_audiences":[],"credential":"abc"}"#,
    ] {
        assert_eq!(digest("h", &[("host", "h")], body), wanted, "{body}");
    }
    let with_more = [("host", "h"), ("accept", "x"), ("user-agent", "y")];
    assert_eq!(digest("h", &with_more, r#"{"credential":"abc"}"#), wanted);
}

#[test]
fn everything_that_an_answer_may_depend_on_changes_the_key() {
    let body = r#"{"credential":"abc"}"#;
    let mut all = vec![
        digest("h", &[], body),
        digest("i", &[], body),
        digest("h", &[], r#"{"credential":"abd"}"#),
        digest("ha", &[], r#"{"credential":"bc"}"#),
    ];
    for audiences in [r#"["a"]"#, r#"["b"]"#, r#"["a","b"]"#, r#"["ab"]"#] {
        let body = format!(r#"{{"credential":"abc","expected_audiences":{audiences}}}"#);
        all.push(digest("h", &[], &body));
    }
    for name in [
        "host",
        "x-forwarded-host",
        "x-forwarded-for",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
        "origin",
        "authorization",
        "x-talos-token",
    ] {
        all.push(digest("h", &[(name, "1")], body));
        all.push(digest("h", &[(name, "2")], body));
        all.push(digest("h", &[(name, "1"), (name, "2")], body));
        all.push(digest("h", &[(name, "")], body));
    }
    assert!(all.iter().all(Option::is_some));
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn requests_that_the_upstream_rejects_are_not_cacheable() {
    for body in [
        "",
        "{}",
        "[]",
        r#"{"credential":""}"#,
        r#"{"credential":1}"#,
    ] {
        assert!(digest("h", &[], body).is_none(), "{body}");
    }
}

#[test]
fn a_bearer_is_read_from_its_only_header() {
    let table: [(&[&str], Option<&str>); 9] = [
        (&["Bearer abc"], Some("abc")),
        (&["bEARER   abc "], Some("abc")),
        (&["Bearer"], None),
        (&["Bearer "], None),
        (&["Basic abc"], None),
        (&["Bearerabc"], None),
        (&[], None),
        (&["Bearer abc", "Bearer abd"], None),
        (&["Bearer é"], None),
    ];
    for (values, wanted) in table {
        let mut map = HeaderMap::new();
        for value in values {
            let value = hyper::header::HeaderValue::from_bytes(value.as_bytes());
            map.append("authorization", value.expect("a value"));
        }
        assert_eq!(bearer(&map).as_deref(), wanted, "{values:?}");
    }
    let map = headers(&[("authorization", "Bearer abc")]);
    assert!(CacheableRequest::new(CredentialSource::Bearer, "h", &map, b"").is_some());
    assert!(CacheableRequest::new(CredentialSource::Bearer, "h", &map, b"{}").is_none());
}

#[test]
fn directives_are_read_in_any_case_and_the_stricter_wins() {
    let table: [(&[(&str, &str)], CacheMode); 11] = [
        (&[], CacheMode::Use),
        (&[("cache-control", "max-age=0")], CacheMode::Use),
        (&[("cache-control", "no-cachee")], CacheMode::Use),
        (&[("cache-control", "NO-Cache")], CacheMode::Refresh),
        (
            &[("cache-control", "max-age=0, no-cache")],
            CacheMode::Refresh,
        ),
        (&[("pragma", "No-Cache")], CacheMode::Refresh),
        (&[("talos-min-position", "1.42")], CacheMode::Refresh),
        (
            &[
                ("talos-min-position", "1.42"),
                ("cache-control", "no-store"),
            ],
            CacheMode::Bypass,
        ),
        (&[("cache-control", "no-STORE")], CacheMode::Bypass),
        (
            &[("cache-control", "no-cache"), ("cache-control", "no-store")],
            CacheMode::Bypass,
        ),
        (
            &[("pragma", "no-cache"), ("cache-control", "no-store")],
            CacheMode::Bypass,
        ),
    ];
    for (lines, wanted) in table {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        assert_eq!(cache_mode(&map), wanted, "{lines:?}");
    }
}

const VALID: &str = r#"{"is_valid":true,"key_id":"k"}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

fn action(status: u16, lines: &[(&'static str, &str)], body: &str) -> CacheAction {
    let status = StatusCode::from_u16(status).expect("a status");
    let now = "2026-01-01T00:00:00Z".parse().expect("an instant");
    cache_action(status, &headers(lines), body.as_bytes(), now)
}

fn store(remaining: Option<Duration>) -> CacheAction {
    let key_id = "k".to_owned();
    CacheAction::Store { key_id, remaining }
}

#[test]
fn an_accepted_credential_is_stored_until_it_expires() {
    assert_eq!(action(200, &[JSON], VALID), store(None));
    let with_end = |end: &str| {
        let body = format!(r#"{{"is_valid":true,"key_id":"k","expire_time":"{end}"}}"#);
        action(200, &[JSON], &body)
    };
    let millis = Duration::from_millis;
    assert_eq!(
        with_end("2026-01-01T00:00:01.5Z"),
        store(Some(millis(1500)))
    );
    assert_eq!(with_end("2026-01-01T00:00:00Z"), store(Some(millis(0))));
    assert_eq!(with_end("2025-01-01T00:00:00Z"), store(Some(millis(0))));
    assert_eq!(with_end("soon"), CacheAction::Remove);
    assert_eq!(
        action(200, &[JSON, ("vary", "Origin")], VALID),
        store(None),
        "the origin is part of the key"
    );
}

#[test]
fn everything_else_is_not_stored() {
    let bodies = [
        "",
        "{}",
        "[]",
        r#"{"is_valid":true}"#,
        r#"{"is_valid":"true","key_id":"k"}"#,
        r#"{"is_valid":true,"is_valid":true,"key_id":"k"}"#,
        r#"{"is_valid":true,"key_id":"k","rate_limit_policy":{"quota":"1"}}"#,
        r#"{"is_valid":true,"key_id":"k","rate_limit_remaining":"1"}"#,
        r#"{"is_valid":true,"key_id":"k","rate_limit_reset_time":"x"}"#,
        r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_IP_NOT_ALLOWED"}"#,
        r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_AUDIENCE_MISMATCH"}"#,
        r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_RATE_LIMITED"}"#,
        r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_INTERNAL"}"#,
    ];
    for body in bodies {
        assert_eq!(action(200, &[JSON], body), CacheAction::Remove, "{body}");
    }
    for line in [
        ("ratelimit-policy", "x"),
        ("ratelimit", "x"),
        ("retry-after", "1"),
        ("set-cookie", "a=b"),
        ("vary", "*"),
        ("vary", "Origin, Accept-Encoding"),
        ("cache-control", "Private"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(
            action(200, &[JSON, line], VALID),
            CacheAction::Remove,
            "{line:?}"
        );
    }
    assert_eq!(action(200, &[], VALID), CacheAction::Remove);
    assert_eq!(
        action(200, &[("content-type", "text/html")], VALID),
        CacheAction::Remove
    );
    for status in [201, 206, 404, 500] {
        assert_eq!(
            action(status, &[JSON], VALID),
            CacheAction::Remove,
            "{status}"
        );
    }
}

#[test]
fn a_credential_that_has_ended_ends_every_answer_about_it() {
    for code in ["REVOKED", "EXPIRED", "NOT_FOUND"] {
        let body = format!(r#"{{"is_valid":false,"error_code":"VERIFICATION_ERROR_{code}"}}"#);
        assert_eq!(
            action(200, &[JSON], &body),
            CacheAction::InvalidateCredential,
            "{code}"
        );
    }
}
