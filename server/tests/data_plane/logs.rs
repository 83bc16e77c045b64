//! What the logs say, and what they must never say.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::support::{ALIVE, Fixture, both_drivers, post};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn requests_are_logged_and_secrets_are_not() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .init();
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(ALIVE.as_bytes());
        client.answer();
        let body = r#"{"credential":"talos_v1_CREDENTIAL_x"}"#;
        client.send(
            format!(
                "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nX-Request-Id: hot-1\r\n\
                 Authorization: Bearer HEADER\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        assert_eq!(client.answer().status, 200);
        let fields = "X-Request-Id: control-1\r\nAuthorization: Bearer HEADER\r\n";
        client.send(post(fields, "BODY").as_bytes());
        assert_eq!(client.answer().status, 201);
        client.send(post("X-Test: panic\r\n", "BODY").as_bytes());
        assert_eq!(client.answer().status, 500);
    });
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for (level, route, id, status) in [
        ("DEBUG", "/v2alpha1/admin/apiKeys:verify", "hot-1", "200"),
        ("INFO", "/v2alpha1/admin/issuedApiKeys", "control-1", "201"),
    ] {
        let wanted = [level, route, id, status, "duration_us", "POST"];
        let line = lines
            .lines()
            .find(|line| wanted.iter().all(|part| line.contains(part)));
        assert!(line.is_some(), "{id}: {lines}");
    }
    for secret in ["CREDENTIAL", "HEADER", "BODY"] {
        assert!(!lines.contains(secret), "{secret}: {lines}");
    }
}
