//! A client of the REST API.

use std::io;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::Uri;
use ureq::{Agent, BodyReader, Proxy};

use crate::error::CliError;

/// The longest that a command waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes. A page of 1000 keys with their metadata fits.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Everything but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of one server.
pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
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
    /// A client of the server at `endpoint`, such as `http://localhost:4420`. It sends nothing yet.
    ///
    /// # Errors
    /// [`CliError::Usage`] when `endpoint` is not an HTTP URL.
    pub(crate) fn new(endpoint: &str) -> Result<Self, CliError> {
        let endpoint = endpoint.trim_end_matches('/');
        let usage = || {
            CliError::Usage(format!(
                "the endpoint {endpoint:?} is not a URL such as http://localhost:4420"
            ))
        };
        let uri: Uri = endpoint.parse().map_err(|_| usage())?;
        let host = uri
            .host()
            .filter(|_| matches!(uri.scheme_str(), Some("http" | "https")))
            .ok_or_else(usage)?;
        // A proxy on another machine cannot reach the loopback of this one.
        let proxy = if is_loopback(host) {
            None
        } else {
            Proxy::try_from_env()
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("talos/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
            endpoint: endpoint.to_owned(),
        })
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, CliError> {
        self.answer(self.agent.get(self.url(path)).call())
    }

    /// `DELETE path`.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, CliError> {
        self.answer(self.agent.delete(self.url(path)).call())
    }

    /// `PATCH path` with a JSON body.
    pub(crate) fn patch(&self, path: &str, body: &[u8]) -> Result<Answer, CliError> {
        let request = self
            .agent
            .patch(self.url(path))
            .header("Content-Type", "application/json");
        self.answer(request.send(body))
    }

    /// `POST path` with a JSON body and further headers.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, CliError> {
        let mut request = self
            .agent
            .post(self.url(path))
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.send(body))
    }

    /// `GET path`; the caller reads the answer while the server sends it. Reading fails if the
    /// server sends nothing for `silence_max`. There is no limit on the total time.
    pub(crate) fn stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        silence_max: Duration,
    ) -> Result<BodyReader<'static>, CliError> {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .config()
            .timeout_global(None)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
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
        format!("{}{path}", self.endpoint)
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, CliError> {
        let mut response = result.map_err(|error| self.transport(error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.transport(error))?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|_| self.unexpected_answer(format!("HTTP {status} without JSON")))?;
        if (200..300).contains(&status) {
            return Ok(Answer { text, json });
        }
        let error = json
            .get("error")
            .ok_or_else(|| self.unexpected_answer(format!("HTTP {status} without an error")))?;
        Err(CliError::Refused {
            message: error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("no reason given")
                .to_owned(),
            reason: error
                .pointer("/details/0/reason")
                .and_then(Value::as_str)
                .unwrap_or("UNKNOWN")
                .to_owned(),
            status,
        })
    }

    fn transport(&self, error: ureq::Error) -> CliError {
        let endpoint = self.endpoint.clone();
        match error {
            ureq::Error::Io(source) if source.kind() == io::ErrorKind::ConnectionRefused => {
                CliError::NoServer { endpoint, source }
            }
            ureq::Error::HostNotFound => CliError::NoServer {
                endpoint,
                source: io::Error::new(io::ErrorKind::NotFound, "the host is not known"),
            },
            error => CliError::Transport {
                endpoint,
                message: error.to_string(),
            },
        }
    }
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
        ] {
            assert!(Client::new(endpoint).is_ok(), "{endpoint}");
        }
        for endpoint in [
            "",
            "localhost:4420",
            "ftp://x",
            "http://",
            "/x",
            "http://a b",
        ] {
            assert!(
                matches!(Client::new(endpoint), Err(CliError::Usage(_))),
                "{endpoint}"
            );
        }
    }
}
