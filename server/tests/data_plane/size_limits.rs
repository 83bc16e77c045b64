//! The limits of heads and bodies are those of the options: what is just within one is served, and
//! what is just beyond it is refused.

use talos_server::limits::{BodyLimits, HeadLimits};
use talos_server::{DriverChoice, ServerOptions};

use crate::support::{ECHO, Fixture, both_drivers, post};
use crate::verification::{of, request};

const IMPORTS: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";

fn status(fixture: &Fixture, request: &str) -> u16 {
    fixture.ask(request).status
}

/// A request whose head has this many bytes and this many fields, and whose target this many bytes.
fn head(bytes: usize, fields: usize, target: usize) -> String {
    let target = format!("{ECHO}?{}", "q".repeat(target - ECHO.len() - 1));
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n");
    for _ in 0..fields.saturating_sub(2) {
        head += "X: y\r\n";
    }
    let rest = bytes - head.len() - "F: \r\n\r\n".len();
    head + &format!("F: {}\r\n\r\n", "f".repeat(rest))
}

fn batch_import(bytes: usize) -> String {
    post("", &"x".repeat(bytes)).replace(ECHO, IMPORTS)
}

/// A batch of this many failing verifications.
fn batch(count: usize) -> String {
    let items = vec![of("x"); count].join(",");
    request("", &format!(r#"{{"requests":[{items}]}}"#)).replace(":verify", ":batchVerify")
}

fn with(driver: DriverChoice, heads: HeadLimits, bodies: BodyLimits) -> Fixture {
    Fixture::with(driver, |options: &mut ServerOptions| {
        options.heads = heads;
        options.bodies = bodies;
    })
}

fn assert_limits(fixture: &Fixture, heads: HeadLimits, bodies: BodyLimits) {
    let HeadLimits {
        bytes,
        fields,
        target,
    } = heads;
    assert_eq!(status(fixture, &head(bytes, 3, 100)), 201);
    assert_eq!(status(fixture, &head(bytes + 1, 3, 100)), 431);
    assert_eq!(status(fixture, &head(1000, fields, 100)), 201);
    assert_eq!(status(fixture, &head(1000, fields + 1, 100)), 431);
    assert_eq!(status(fixture, &head(target + 200, 3, target)), 201);
    assert_eq!(status(fixture, &head(target + 200, 3, target + 1)), 414);
    assert_eq!(status(fixture, &post("", &"x".repeat(bodies.bytes))), 201);
    assert_eq!(
        status(fixture, &post("", &"x".repeat(bodies.bytes + 1))),
        413
    );
    assert_eq!(status(fixture, &batch_import(bodies.batch)), 201);
    assert_eq!(status(fixture, &batch_import(bodies.batch + 1)), 413);
}

#[test]
fn small_limits() {
    both_drivers(|driver| {
        let heads = HeadLimits {
            bytes: 4096,
            fields: 16,
            target: 1024,
        };
        let bodies = BodyLimits {
            bytes: 16 << 10,
            batch: 32 << 10,
            batch_answer: 1000,
        };
        let fixture = with(driver, heads, bodies);
        assert_limits(&fixture, heads, bodies);
        // Results beyond the limit of a batch's answer are errors.
        let answer = fixture.ask(&batch(20)).json();
        let codes: Vec<&str> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["error_code"].as_str().unwrap())
            .collect();
        assert_eq!(codes.len(), 20);
        assert_eq!(codes[0], "VERIFICATION_ERROR_NOT_FOUND");
        assert_eq!(codes[19], "VERIFICATION_ERROR_ANSWER_TOO_LARGE");
    });
}

#[test]
fn large_limits() {
    both_drivers(|driver| {
        let heads = HeadLimits {
            bytes: 64 << 10,
            fields: 128,
            target: 32 << 10,
        };
        let bodies = BodyLimits {
            bytes: 2 << 20,
            batch: 12 << 20,
            batch_answer: 8 << 20,
        };
        assert_limits(&with(driver, heads, bodies), heads, bodies);
    });
}
