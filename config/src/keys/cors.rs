//! `serve.http.cors`: the rules for requests from pages of other origins (Fetch Standard, §3.2).

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

/// No browser caches the answer to a preflight request for longer than a day.
const MAX_AGE_S_MAX: u64 = 24 * 3600;

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.http.cors.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.serve.http.cors.enabled = enabled,
        },
    )
    .about("true = the rules of this section apply.")
    .example("true"),
    public(
        "serve.http.cors.allowed_origins",
        Fallback::Value("*"),
        Kind::List {
            what: "origins, each * or SCHEME://HOST[:PORT] with at most one * in the host",
            item: origin,
            set: |s, origins| s.serve.http.cors.allowed_origins = origins,
        },
    )
    .about(
        "*, or origins such as https://app.example.com or https://*.example.com. *, and \
         wildcards that are as open, do not apply to the routes of administrators and to \
         the short routes.",
    )
    .example("['https://app.example.com']"),
    public(
        "serve.http.cors.allowed_methods",
        Fallback::Value("GET,POST,PUT,PATCH,DELETE"),
        Kind::List {
            what: "HTTP methods",
            item: token,
            set: |s, methods| s.serve.http.cors.allowed_methods = methods,
        },
    )
    .about("Methods that pages may use, besides those that browsers always allow."),
    public(
        "serve.http.cors.allowed_headers",
        Fallback::Value("Authorization,Content-Type"),
        Kind::List {
            what: "names of request headers, or *",
            item: token,
            set: |s, headers| s.serve.http.cors.allowed_headers = headers,
        },
    )
    .about("Request headers that pages may send; * = any."),
    public(
        "serve.http.cors.exposed_headers",
        Fallback::Value("Content-Type"),
        Kind::List {
            what: "names of response headers",
            item: token,
            set: |s, headers| s.serve.http.cors.exposed_headers = headers,
        },
    )
    .about("Response headers that pages may read."),
    public(
        "serve.http.cors.allow_credentials",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, allow| s.serve.http.cors.allow_credentials = allow,
        },
    )
    .about("Allow cookies and TLS certificates. Not allowed together with the origin *.")
    .example("true"),
    public(
        "serve.http.cors.max_age",
        Fallback::Value("0"),
        Kind::Integer {
            min: 0,
            max: MAX_AGE_S_MAX,
            set: |s, seconds| s.serve.http.cors.max_age_s = seconds,
        },
    )
    .about(
        "How long browsers may cache the answer to a preflight request, in seconds. 0 = \
         they decide.",
    )
    .example("600"),
    public(
        "serve.http.cors.debug",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, debug| s.serve.http.cors.debug = debug,
        },
    )
    .about("true = log every decision.")
    .example("true"),
];

/// Parses `*`, or an origin as browsers send it in `Origin` (RFC 6454 §6.2). The host may contain
/// one `*`. The result is in lower case.
fn origin(text: &str) -> Result<String, String> {
    let problem = || "not an origin".to_owned();
    if text == "*" {
        return Ok(text.to_owned());
    }
    let (scheme, authority) = text.split_once("://").ok_or_else(problem)?;
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let in_authority = |c: char| c.is_ascii_alphanumeric() || "-.:[]*_".contains(c);
    let fits = !scheme.is_empty()
        && scheme.chars().all(in_scheme)
        && !authority.is_empty()
        && authority.chars().all(in_authority)
        && authority.matches('*').count() <= 1;
    fits.then(|| text.to_ascii_lowercase()).ok_or_else(problem)
}

/// Parses a token of RFC 9110 §5.6.2: a method or a header name.
fn token(text: &str) -> Result<String, String> {
    let in_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(in_token) {
        return Err("not a token of letters, digits and !#$%&'*+-.^_`|~".to_owned());
    }
    Ok(text.to_owned())
}
