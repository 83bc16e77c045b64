//! The mappings around the keys, and what each is for.

/// A mapping of the configuration that contains keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The full path, such as `serve.http`.
    pub path: &'static str,
    /// What its keys are for, in a few sentences.
    pub about: &'static str,
}

const fn section(path: &'static str, about: &'static str) -> Section {
    Section { path, about }
}

/// Every section. A test compares them with the paths of the keys.
pub static SECTIONS: &[Section] = &[
    section("serve", "Listeners, threads and the shutdown."),
    section("serve.http", "The listener of the API."),
    section("serve.http.request_log", "The log of requests."),
    section("serve.http.timeouts", "How long a connection may take."),
    section(
        "serve.http.limits",
        "How large requests may be, and how much the connections of one worker may take.",
    ),
    section(
        "serve.http.throttle",
        "How often a client address (or IPv6 network of 64 bits) may fail; above it 429 with \
         Retry-After. Each node counts on its own.",
    ),
    section(
        "serve.http.throttle.failures",
        "Credentials that are not valid.",
    ),
    section(
        "serve.http.throttle.self_revocations",
        "Requests to revoke one's own key.",
    ),
    section(
        "serve.http.tls",
        "TLS 1.2 and 1.3 on the port of serve.http, not on the socket. All files are PEM; they are \
         read again within two seconds when they change. Open connections keep the certificate \
         that they began with.",
    ),
    section(
        "serve.http.cors",
        "Rules for requests from pages of other origins.",
    ),
    section("serve.admin", "The access of administrators."),
    section(
        "serve.admin.auth",
        "Which principals may use the routes of administrators.",
    ),
    section(
        "serve.public",
        "A second listener in the same process, for clients that are no administrators. It has the \
         limits and time-outs of serve.http.",
    ),
    section(
        "serve.public.tls",
        "TLS of this listener, as serve.http.tls.",
    ),
    section(
        "serve.metrics",
        "/metrics for Prometheus, and both health paths.",
    ),
    section(
        "serve.metrics.tls",
        "TLS of this listener, as serve.http.tls. Probes of /health use it, too.",
    ),
    section("serve.shutdown", "What happens after SIGTERM."),
    section("credentials", "The format and the lifetime of credentials."),
    section("credentials.api_keys", "Issued keys."),
    section(
        "credentials.api_keys.prefix",
        "What issued keys begin with.",
    ),
    section(
        "credentials.derived_tokens",
        "Tokens that are derived from keys: JSON Web Tokens and macaroons.",
    ),
    section("credentials.derived_tokens.jwt", "JSON Web Tokens."),
    section(
        "credentials.derived_tokens.jwt.signing_keys",
        "The keys that sign JSON Web Tokens.",
    ),
    section("credentials.derived_tokens.macaroon", "Macaroons."),
    section(
        "credentials.derived_tokens.macaroon.prefix",
        "What macaroons begin with.",
    ),
    section(
        "secrets",
        "Secrets of the server. Better in the environment than in the file: \
         TALOS_SECRETS_HMAC_CURRENT has the secret, and TALOS_SECRETS_HMAC_CURRENT_FILE the name \
         of a file with it (in lists: one secret a line). Every secret may be in a file in this \
         way. A retired secret is a text, or {value: …, expires_at: 2027-01-31T00:00:00Z}: from \
         then on, what it signed is refused.",
    ),
    section(
        "secrets.default",
        "For every purpose that has no secret of its own.",
    ),
    section("secrets.hmac", "For issued keys."),
    section("secrets.pagination", "For the page tokens of lists."),
    section("db", "Where keys are stored."),
    section(
        "replication",
        "The role of this node in a cluster. See docs/REPLICATION.md, and primary.yaml and \
         replica.yaml beside the sample file.",
    ),
    section(
        "replication.tls",
        "TLS of the connections between nodes. All files are PEM; they are read again within two \
         seconds when they change, for new connections.",
    ),
    section(
        "replication.forward",
        "How a replica passes requests on to the API of its primary, at replication.primary_url.",
    ),
    section(
        "replication.log",
        "The change log, from which replicas catch up. It exists with role none, too.",
    ),
    section(
        "replication.snapshots",
        "Full copies for replicas that are new or too far behind.",
    ),
    section("cache", "Which keys are kept in memory, and for how long."),
    section("cache.memory", "The memory for keys."),
    section(
        "cache.redis",
        "Without effect; for configurations that were written for other servers.",
    ),
    section(
        "cache.redis.tls",
        "Without effect; for configurations that were written for other servers.",
    ),
    section("rate_limit", "The rate limits of keys."),
    section("quota", "How many keys there may be."),
    section("last_used", "How the times of last use are written."),
    section(
        "multitenancy",
        "Which tenants the server has, see docs/tenants.md.",
    ),
    section(
        "tracing",
        "This version exports no traces. The keys are for configurations that were written for \
         other servers.",
    ),
    section("log", "The log of the server, on standard error."),
    section("audit", "The log of who did what, see docs/audit.md."),
];

/// The section with exactly this path.
#[must_use]
pub fn find_section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}
