//! A client of the REST API.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use talos_model::Secret;
use talos_tls::ClientFiles;
use ureq::config::ConfigBuilder;
use ureq::http::{HeaderValue, Response, Uri};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, BodyReader, Proxy, RequestBuilder};
use zeroize::Zeroizing;

use crate::client_tls;
use crate::error::CliError;
use crate::patience::{self, Attempts, Patience, Repeat};
use crate::printable::printable;
use crate::unix_socket;

/// The longest answer that is read, in bytes. A page of 1000 keys with their metadata fits.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// The status of an answer without a body.
const NO_CONTENT: u16 = 204;
/// The status of an answer about something that does not exist.
const NOT_FOUND: u16 = 404;
/// The status and the reason of a request that lacks an admin token.
const UNAUTHORIZED: (u16, &str) = (401, "UNAUTHORIZED");

/// Everything but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of one server.
pub(crate) struct Client {
    agent: Agent,
    /// What people call the server.
    endpoint: String,
    /// What the URLs of requests begin with.
    base: String,
    /// The `Authorization` of every request.
    authorization: Option<HeaderValue>,
    patience: Patience,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The body as the server sent it.
    pub(crate) text: String,
    /// The parsed body.
    pub(crate) json: Value,
}

impl Client {
    /// A client of the server at `endpoint`, such as `http://localhost:4420` or
    /// `unix:/run/talos.sock`. It shows `token`, if there is one, with every request. `files` are
    /// for TLS. It sends nothing yet.
    ///
    /// # Errors
    /// [`CliError::Usage`] when `endpoint` is not an HTTP URL or a socket, when `token` cannot be
    /// sent, or when there are `files` for a server on another machine that is asked without TLS;
    /// errors of [`client_tls::config`].
    pub(crate) fn new(
        endpoint: &str,
        token: Option<&Secret>,
        files: &ClientFiles,
    ) -> Result<Self, CliError> {
        let authorization = token.map(authorization).transpose()?;
        let usage = || {
            CliError::Usage(format!(
                "the endpoint {endpoint:?} is neither a URL such as http://localhost:4420 nor a \
                 socket such as unix:/run/talos.sock"
            ))
        };
        if let Some(path) = endpoint.strip_prefix("unix:") {
            // As in other programs, unix:///path is the same as unix:/path.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(usage());
            }
            return Ok(Self {
                agent: unix_socket::agent(config().build(), PathBuf::from(path)),
                endpoint: endpoint.to_owned(),
                base: unix_socket::URL.to_owned(),
                authorization,
                patience: Patience::default(),
            });
        }
        let endpoint = endpoint.trim_end_matches('/');
        let uri: Uri = endpoint.parse().map_err(|_| usage())?;
        let host = uri
            .host()
            .filter(|_| matches!(uri.scheme_str(), Some("http" | "https")))
            .ok_or_else(usage)?;
        let has_files = files != &ClientFiles::default();
        if uri.scheme_str() == Some("http") && has_files && !is_loopback(host) {
            return Err(CliError::Usage(format!(
                "--ca, --cert and --key have no effect on {endpoint}: write https://, or leave them and TALOS_CA, TALOS_CERT and TALOS_KEY out"
            )));
        }
        // A proxy on another machine cannot reach the loopback of this one.
        let proxy = if is_loopback(host) {
            None
        } else {
            Proxy::try_from_env()
        };
        Ok(Self {
            agent: config()
                .proxy(proxy)
                .tls_config(client_tls::config(files)?)
                .build()
                .into(),
            endpoint: endpoint.to_owned(),
            base: endpoint.to_owned(),
            authorization,
            patience: Patience::default(),
        })
    }

    /// Sets how long the client waits for answers and how often it repeats requests.
    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.exchange(Repeat::Always, |time_left| {
            let request = self.authorized(self.agent.get(self.url(path)));
            within(request, time_left).call()
        })
    }

    /// `DELETE path`.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, CliError> {
        self.exchange(Repeat::Always, |time_left| {
            let request = self.authorized(self.agent.delete(self.url(path)));
            within(request, time_left).call()
        })
    }

    /// `PATCH path` with a JSON body.
    pub(crate) fn patch(&self, path: &str, body: &[u8]) -> Result<Answer, CliError> {
        self.exchange(Repeat::Always, |time_left| {
            let request = self.authorized(self.agent.patch(self.url(path)));
            let request = request.header("Content-Type", "application/json");
            within(request, time_left).send(body)
        })
    }

    /// `POST path` with a JSON body and further headers. It is sent once.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, CliError> {
        self.post_repeatedly(path, headers, body, Repeat::Never)
    }

    /// `POST path` with a JSON body and further headers, for a request that does no more when it is
    /// sent again.
    pub(crate) fn post_repeatedly(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        repeat: Repeat,
    ) -> Result<Answer, CliError> {
        self.exchange(repeat, |time_left| {
            let mut request = self
                .authorized(self.agent.post(self.url(path)))
                .header("Content-Type", "application/json");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            within(request, time_left).send(body)
        })
    }

    /// Sends a request until it has an answer, or no further attempt is made.
    fn exchange(
        &self,
        repeat: Repeat,
        send: impl Fn(Duration) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer, CliError> {
        let mut attempts = Attempts::new(self.patience, repeat);
        loop {
            let result = send(attempts.time_left());
            let (failure, asked) = patience::failure(&result);
            let error = match self.answer(result) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = failure.and_then(|failure| attempts.wait_after(failure, asked));
            let Some(wait) = wait else {
                return Err(said_after(error, asked, attempts.failed));
            };
            let remark = format!("{error}; trying again in {} s", wait.as_secs_f32());
            // A remark that cannot be written does not stop the command.
            let _ = writeln!(io::stderr(), "talos: {}", printable(&remark));
            thread::sleep(wait);
        }
    }

    /// `GET path`; the caller reads the answer while the server sends it. Reading fails if the
    /// server sends nothing for `silence_max`. There is no limit on the total time.
    pub(crate) fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        silence_max: Duration,
    ) -> Result<BodyReader<'static>, CliError> {
        let mut request = self.authorized(self.agent.get(self.url(path)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .config()
            .timeout_global(None)
            .timeout_connect(Some(self.patience.timeout))
            .timeout_recv_response(Some(self.patience.timeout))
            .timeout_per_read(Some(silence_max))
            .build();
        let response = request.call().map_err(|error| self.transport(error))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        match self.answer(Ok(response)) {
            Err(error) => Err(error),
            Ok(_) => Err(self.unexpected_answer("not a stream".to_owned())),
        }
    }

    /// The URL of the server.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The error for an answer that is not one of a Talos server.
    pub(crate) fn unexpected_answer(&self, what: String) -> CliError {
        CliError::UnexpectedAnswer {
            endpoint: self.endpoint.clone(),
            what,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn authorized<Body>(&self, request: RequestBuilder<Body>) -> RequestBuilder<Body> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn answer(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Answer, CliError> {
        let mut response = result.map_err(|error| self.transport(error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.transport(error))?;
        if status == NO_CONTENT {
            return Ok(Answer {
                text: "{}".to_owned(),
                json: json!({}),
            });
        }
        let json: Value = serde_json::from_str(&text)
            .map_err(|_| self.unexpected_answer(format!("HTTP {status} without JSON")))?;
        if (200..300).contains(&status) {
            return Ok(Answer { text, json });
        }
        let error = json
            .get("error")
            .ok_or_else(|| self.unexpected_answer(format!("HTTP {status} without an error")))?;
        let text = |found: Option<&Value>, otherwise: &str| {
            let text = found.and_then(Value::as_str);
            text.unwrap_or(otherwise).to_owned()
        };
        let mut message = text(error.get("message"), "no reason given");
        let reason = text(error.pointer("/details/0/reason"), "UNKNOWN");
        if (status, reason.as_str()) == UNAUTHORIZED && self.authorization.is_none() {
            message += "; name an admin token with --token-file or TALOS_TOKEN";
        }
        Err(CliError::Refused {
            message,
            reason,
            status,
        })
    }

    fn transport(&self, error: ureq::Error) -> CliError {
        let endpoint = self.endpoint.clone();
        match error {
            // "Not found" means that there is no such socket.
            ureq::Error::Io(source)
                if matches!(
                    source.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
                ) =>
            {
                CliError::NoServer { endpoint, source }
            }
            ureq::Error::HostNotFound => CliError::NoServer {
                endpoint,
                source: io::Error::new(io::ErrorKind::NotFound, "the host is not known"),
            },
            error => {
                let mut message = error.to_string();
                if message.contains("UnknownIssuer") || message.contains("BadSignature") {
                    message += "; name the authority of the server's certificate with --ca FILE or TALOS_CA";
                }
                CliError::Transport { endpoint, message }
            }
        }
    }
}

/// Gives a request this long for its answer.
fn within<Any>(request: RequestBuilder<Any>, time_left: Duration) -> RequestBuilder<Any> {
    request.config().timeout_global(Some(time_left)).build()
}

/// The error of the last attempt, with what a person needs to know of the others.
fn said_after(error: CliError, asked: Option<Duration>, repeated: u32) -> CliError {
    let CliError::Refused {
        mut message,
        reason,
        status,
    } = error
    else {
        return error;
    };
    if let Some(asked) = asked {
        message += &format!("; try again after {} s", asked.as_secs());
    }
    if status == NOT_FOUND && repeated > 0 {
        message += "; an attempt before this one, whose answer was lost, may have succeeded";
    }
    CliError::Refused {
        message,
        reason,
        status,
    }
}

/// What all agents have in common.
fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        // A token is sent to no other server than the one that was named.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("talos/", env!("CARGO_PKG_VERSION")))
}

/// The header with which `token` is shown (RFC 6750 §2.1).
fn authorization(token: &Secret) -> Result<HeaderValue, CliError> {
    let unusable = || {
        CliError::Usage(
            "the admin token is empty, or has spaces, line breaks or other characters of no token"
                .to_owned(),
        )
    };
    let text = token.expose();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable());
    }
    let header = Zeroizing::new(format!("Bearer {text}"));
    let mut value = HeaderValue::from_str(&header).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Encodes `text` as one segment of a path or one value of a query.
pub(crate) fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stay_one_segment() {
        assert_eq!(
            url_encoded("0b5a7c5e-6f5e_4c39.9d~0b"),
            "0b5a7c5e-6f5e_4c39.9d~0b"
        );
        assert_eq!(url_encoded("a/b:c?d#e %é"), "a%2Fb%3Ac%3Fd%23e%20%25%C3%A9");
    }

    #[test]
    fn endpoints() {
        for endpoint in [
            "http://localhost:4420",
            "https://keys.example.com/",
            "http://[::1]:4420/talos",
            "unix:/run/talos.sock",
            "unix:///run/talos.sock",
            "unix:talos.sock",
        ] {
            assert!(
                Client::new(endpoint, None, &ClientFiles::default()).is_ok(),
                "{endpoint}"
            );
        }
        for endpoint in [
            "",
            "localhost:4420",
            "ftp://x",
            "http://",
            "/x",
            "http://a b",
            "unix:",
            "unix://",
            "/run/talos.sock",
        ] {
            assert!(
                matches!(
                    Client::new(endpoint, None, &ClientFiles::default()),
                    Err(CliError::Usage(_))
                ),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn only_a_token_is_sent_and_no_message_repeats_it() {
        let header = |text: &str| authorization(&Secret::new(text.to_owned()));
        let value = header("talos_admin_x").expect("a header");
        assert_eq!(value.to_str().ok(), Some("Bearer talos_admin_x"));
        assert!(!format!("{value:?}").contains("talos_admin_x"));
        for text in [
            "",
            " ",
            "s3cret x",
            "s3cret\r\nX: y",
            "s3cret\u{7f}",
            "s3crét",
        ] {
            let error = header(text).expect_err("a refusal");
            assert!(matches!(error, CliError::Usage(_)), "{error}");
            assert!(!error.to_string().contains("s3c"), "{error}");
        }
    }
}
