//! Cross-origin requests of browsers (the Fetch Standard §3.2): the fields that let a page of
//! another origin read an answer.
//!
//! Guarantees: credentials are never allowed for all origins; an answer that depends on the
//! `Origin` of the request has a `Vary` field, also when the origin is not allowed. The browser
//! checks methods and headers, so the answer to a preflight lists everything that is allowed,
//! whatever the preflight asks for. `*` does not apply to the routes of administrators: for these,
//! an origin must be listed.

use talos_config::Cors;

/// The name of the field that allows an origin.
const ADMITTED: &[u8] = b"Access-Control-Allow-Origin: ";
const END: &[u8] = b"\r\n";

/// The configured rules as prepared lines.
#[derive(Debug)]
pub(crate) struct CrossOrigin {
    /// Whether every origin is allowed where [`Audience::Everybody`] is.
    any: bool,
    /// The listed origins.
    origins: Vec<Pattern>,
    /// The lines of every answer to an allowed origin.
    lines: Vec<u8>,
    /// The additional lines of the answer to an allowed preflight.
    preflight: Vec<u8>,
    any_header: bool,
    debug: bool,
}

/// Whose pages may be allowed to read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Those of every origin, if the configuration has `*`.
    Everybody,
    /// Those of listed origins.
    Listed,
}

/// An allowed origin, which may have a wildcard for a part of its host.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    start: Vec<u8>,
    /// The text after the wildcard; `None` = no wildcard.
    end: Option<Vec<u8>>,
}

impl Pattern {
    fn new(text: &str) -> Self {
        match text.split_once('*') {
            Some((start, end)) => Self {
                start: start.into(),
                end: Some(end.into()),
            },
            None => Self {
                start: text.into(),
                end: None,
            },
        }
    }

    /// Whether the pattern matches hosts of anybody, as `https://*` and `https://*.com` do: what
    /// follows the wildcard names no domain of two labels. The wildcard may stand for a port.
    fn is_open(&self) -> bool {
        let Some(end) = &self.end else { return false };
        let host = end.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_port = self.start.ends_with(b":") && !self.start.ends_with(b"://");
        !is_port && host.split(|byte| *byte == b'.').count() < 3
    }

    /// Whether `origin` matches. A wildcard matches labels of a host name and never its end.
    fn fits(&self, origin: &[u8]) -> bool {
        let Some(end) = &self.end else {
            return self.start == origin;
        };
        let in_gap = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        origin
            .strip_prefix(self.start.as_slice())
            .and_then(|rest| rest.strip_suffix(end.as_slice()))
            .is_some_and(|gap| !gap.is_empty() && gap.iter().all(in_gap))
    }
}

impl CrossOrigin {
    /// Prepares the rules; `None` when cross-origin requests are not enabled.
    pub(crate) fn new(rules: &Cors) -> Option<Self> {
        rules.enabled.then(|| {
            let any = rules.allowed_origins.iter().any(|origin| origin == "*");
            let any_header = rules.allowed_headers.iter().any(|name| name == "*");
            let mut lines = line("Access-Control-Expose-Headers", &rules.exposed_headers);
            // The configuration refuses both together. Checked here again, because it would allow
            // credentials for all origins.
            if rules.allow_credentials && !any {
                lines.extend_from_slice(b"Access-Control-Allow-Credentials: true\r\n");
            }
            let mut preflight = line("Access-Control-Allow-Methods", &rules.allowed_methods);
            if any_header {
                preflight.extend_from_slice(b"Vary: Access-Control-Request-Headers\r\n");
            } else {
                let headers = line("Access-Control-Allow-Headers", &rules.allowed_headers);
                preflight.extend(headers);
            }
            if rules.max_age_s > 0 {
                let age = format!("Access-Control-Max-Age: {}\r\n", rules.max_age_s);
                preflight.extend_from_slice(age.as_bytes());
            }
            let listed = rules.allowed_origins.iter().filter(|origin| *origin != "*");
            Self {
                any,
                origins: listed.map(|text| Pattern::new(text)).collect(),
                lines,
                preflight,
                any_header,
                debug: rules.debug,
            }
        })
    }

    /// Writes the lines of an answer to a request of `origin`.
    pub(crate) fn write(&self, audience: Audience, origin: Option<&[u8]>, output: &mut Vec<u8>) {
        if self.any && audience == Audience::Everybody {
            // Does not depend on the origin, so a cache may serve it to every origin.
            output.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
            output.extend_from_slice(&self.lines);
            return;
        }
        if self.origins.is_empty() {
            return;
        }
        output.extend_from_slice(b"Vary: Origin\r\n");
        if let Some(origin) = origin.filter(|origin| self.admits(audience, origin)) {
            output.extend_from_slice(ADMITTED);
            output.extend_from_slice(origin);
            output.extend_from_slice(END);
            output.extend_from_slice(&self.lines);
        }
    }

    /// Writes the additional lines of the answer to a preflight of `origin`. `headers` are the
    /// headers that it asks for.
    pub(crate) fn write_preflight(
        &self,
        audience: Audience,
        origin: &[u8],
        headers: Option<&[u8]>,
        output: &mut Vec<u8>,
    ) {
        let admitted = self.admits(audience, origin);
        if self.debug {
            let origin = String::from_utf8_lossy(origin);
            tracing::info!(%origin, admitted, "a preflight of another origin");
        }
        if !admitted {
            return;
        }
        output.extend_from_slice(&self.preflight);
        // An asterisk would not include Authorization, and with credentials it would mean the
        // literal name.
        if let Some(headers) = headers.filter(|names| self.any_header && is_list(names)) {
            output.extend_from_slice(b"Access-Control-Allow-Headers: ");
            output.extend_from_slice(headers);
            output.extend_from_slice(END);
        }
    }

    /// In debug mode, logs whether the page of `origin` may read the answer.
    pub(crate) fn log(&self, audience: Audience, origin: Option<&[u8]>) {
        if let Some(origin) = origin.filter(|_| self.debug) {
            let admitted = self.admits(audience, origin);
            let origin = String::from_utf8_lossy(origin);
            tracing::info!(%origin, admitted, "a request of another origin");
        }
    }

    /// Whether the configuration lists `origin`, so that its pages may use the routes of
    /// administrators.
    pub(crate) fn lists(&self, origin: &[u8]) -> bool {
        self.admits(Audience::Listed, origin)
    }

    fn admits(&self, audience: Audience, origin: &[u8]) -> bool {
        let everybody = audience == Audience::Everybody;
        let fits = |pattern: &Pattern| (everybody || !pattern.is_open()) && pattern.fits(origin);
        everybody && self.any || self.origins.iter().any(fits)
    }
}

/// The line `name: a, b`; empty without values.
fn line(name: &str, values: &[String]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    format!("{name}: {}\r\n", values.join(", ")).into_bytes()
}

/// Whether `names` is a list of field names.
fn is_list(names: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(byte);
    !names.is_empty() && names.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(origins: &[&str]) -> Cors {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Cors {
            enabled: true,
            allowed_origins: owned(origins),
            allowed_methods: owned(&["GET", "POST"]),
            allowed_headers: owned(&["Authorization", "Content-Type"]),
            exposed_headers: owned(&["Content-Type"]),
            allow_credentials: false,
            max_age_s: 0,
            debug: false,
        }
    }

    fn simple(rules: &Cors, origin: Option<&str>) -> String {
        let mut output = Vec::new();
        let cors = CrossOrigin::new(rules).expect("enabled");
        cors.write(Audience::Everybody, origin.map(str::as_bytes), &mut output);
        String::from_utf8(output).expect("text")
    }

    fn preflight(rules: &Cors, origin: &str, headers: Option<&str>) -> String {
        let mut output = Vec::new();
        let cors = CrossOrigin::new(rules).expect("enabled");
        let headers = headers.map(str::as_bytes);
        cors.write_preflight(Audience::Everybody, origin.as_bytes(), headers, &mut output);
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn nothing_without_being_enabled() {
        let mut rules = rules(&["*"]);
        rules.enabled = false;
        assert!(CrossOrigin::new(&rules).is_none());
    }

    #[test]
    fn everybody_gets_the_same_and_no_credentials() {
        let mut rules = rules(&["https://a.example", "*"]);
        rules.allow_credentials = true;
        let wanted =
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Content-Type\r\n";
        for origin in [None, Some("https://a.example"), Some("null")] {
            assert_eq!(simple(&rules, origin), wanted);
        }
    }

    #[test]
    fn a_listed_origin_is_named_and_every_answer_varies() {
        let mut rules = rules(&["https://a.example"]);
        rules.allow_credentials = true;
        assert_eq!(
            simple(&rules, Some("https://a.example")),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example\r\n\
             Access-Control-Expose-Headers: Content-Type\r\nAccess-Control-Allow-Credentials: true\r\n"
        );
        for origin in [
            None,
            Some("https://b.example"),
            Some("null"),
            Some("http://a.example"),
        ] {
            assert_eq!(simple(&rules, origin), "Vary: Origin\r\n", "{origin:?}");
        }
        assert_eq!(preflight(&rules, "https://b.example", Some("X")), "");
    }

    #[test]
    fn a_gap_takes_a_part_of_the_host_and_nothing_else() {
        let pattern = Pattern::new("https://*.a.example");
        for origin in ["https://x.a.example", "https://x.y-z.a.example"] {
            assert!(pattern.fits(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "https://a.example",
            "https://.a.example",
            "https://evil/.a.example",
            "https://evil:1.a.example",
            "https://x@y.a.example",
            "https://x.a.example.evil",
            "http://x.a.example",
            "https://x.a.example:8443",
            "https://",
            "",
        ] {
            assert!(!pattern.fits(origin.as_bytes()), "{origin}");
        }
    }

    #[test]
    fn a_preflight_gets_all_that_is_allowed() {
        let mut rules = rules(&["https://a.example"]);
        rules.max_age_s = 600;
        assert_eq!(
            preflight(&rules, "https://a.example", Some("X-Other")),
            "Access-Control-Allow-Methods: GET, POST\r\n\
             Access-Control-Allow-Headers: Authorization, Content-Type\r\nAccess-Control-Max-Age: 600\r\n"
        );
        rules.allowed_headers = vec!["*".to_owned()];
        rules.max_age_s = 0;
        for (asked, told) in [
            (
                Some("x-a,authorization"),
                "Access-Control-Allow-Headers: x-a,authorization\r\n",
            ),
            (None, ""),
            (Some("x\ty: z"), ""),
        ] {
            assert_eq!(
                preflight(&rules, "https://a.example", asked),
                format!(
                    "Access-Control-Allow-Methods: GET, POST\r\nVary: Access-Control-Request-Headers\r\n{told}"
                )
            );
        }
    }

    #[test]
    fn only_listed_origins_reach_administrators() {
        for (origins, origin, wanted) in [
            (&["*"][..], "https://a.example", false),
            (&["*"], "null", false),
            (&["https://*"], "https://a.example", false),
            (&["https://*:8443"], "https://a.example:8443", false),
            (&["https://*.com"], "https://a.com", false),
            (&["https://*com"], "https://evil.com", false),
            (&["https://a*"], "https://a.evil.example", false),
            (&["*", "https://a.example"], "https://a.example", true),
            (&["*", "https://a.example"], "https://b.example", false),
            (&["https://*.a.example"], "https://x.a.example", true),
            (&["http://localhost:*"], "http://localhost:3000", true),
        ] {
            let cors = CrossOrigin::new(&rules(origins)).expect("enabled");
            assert_eq!(
                cors.lists(origin.as_bytes()),
                wanted,
                "{origins:?} {origin}"
            );
            let mut output = Vec::new();
            cors.write(Audience::Listed, Some(origin.as_bytes()), &mut output);
            let text = String::from_utf8(output).expect("text");
            assert_eq!(
                text.contains(&format!("Origin: {origin}\r\n")),
                wanted,
                "{text}"
            );
            assert!(!text.contains("Origin: *"), "{text}");
        }
    }
}
