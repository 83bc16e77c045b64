//! Clients that fail too often are refused, and nobody else.

use std::time::Duration;

use talos_config::{ClientIpSource, Throttle, ThrottleRate, TrustedProxies};
use talos_server::ServerOptions;

use crate::places::connect_from;
use crate::support::{ALIVE, Answer, Connection, Fixture, both_drivers, eventually, post};
use crate::verification::{issue, of, request};

const REFUSED: (u16, &str, &str) = (429, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS");

fn quota(quota: u64, window_s: u64) -> ThrottleRate {
    ThrottleRate {
        quota: Some(quota),
        window: Duration::from_secs(window_s),
    }
}

/// Three failures and two self-revocations an hour.
fn strict(options: &mut ServerOptions) {
    options.throttle = Throttle {
        failures: quota(3, 3600),
        self_revocations: quota(2, 3600),
        exempt: Vec::new(),
    };
}

fn ask(client: &mut Connection, request: &str) -> Answer {
    client.send(request.as_bytes());
    client.answer()
}

#[track_caller]
fn assert_throttled(answer: &Answer) {
    answer.assert_error(REFUSED.0, REFUSED.1, REFUSED.2);
    let wait: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert!(!answer.closes());
}

#[track_caller]
fn assert_verdict(answer: &Answer, is_valid: bool) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["is_valid"], is_valid);
}

fn bearer(credential: &str) -> String {
    format!("GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {credential}\r\n\r\n")
}

fn batch(credentials: &[&str]) -> String {
    let items: Vec<String> = credentials
        .iter()
        .map(|credential| of(credential))
        .collect();
    let body = format!(r#"{{"requests":[{}]}}"#, items.join(","));
    request("", &body).replace(":verify", ":batchVerify")
}

fn self_revoke() -> String {
    post("", r#"{"credential":"x"}"#).replace(crate::support::ECHO, "/v2alpha1/apiKeys:selfRevoke")
}

#[test]
fn an_attacker_is_throttled_and_another_address_is_not() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            strict(options);
            options.workers = 2;
        });
        let (valid, _) = issue(&fixture.engine, None);
        let mut attacker = fixture.connect();
        for _ in 0..20 {
            assert_verdict(&ask(&mut attacker, &request("", &of(&valid))), true);
        }
        for guess in ["a", "b", "c"] {
            assert_verdict(&ask(&mut attacker, &request("", &of(guess))), false);
        }
        // A right guess looks like a wrong one now, on every route, connection and core.
        for _ in 0..8 {
            let mut attacker = fixture.connect();
            for question in [
                request("", &of("d")),
                request("", &of(&valid)),
                bearer(&valid),
                batch(&[&valid]),
                request("Cache-Control: no-store\r\n", &of(&valid)),
            ] {
                assert_throttled(&ask(&mut attacker, &question));
            }
            // What is no verification goes on.
            assert_eq!(ask(&mut attacker, ALIVE).status, 200);
            assert_eq!(ask(&mut attacker, &post("", "{}")).status, 201);
            assert_eq!(ask(&mut attacker, &self_revoke()).status, 201);
            if fixture.total(|core| core.throttled.failures.get()) >= 10 {
                break;
            }
        }
        assert!(fixture.total(|core| core.throttled.failures.get()) >= 10);
        let mut other = connect_from(fixture.address, 2);
        for _ in 0..20 {
            assert_verdict(&ask(&mut other, &request("", &of(&valid))), true);
        }
    });
}

#[test]
fn every_failing_item_of_a_batch_counts() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, strict);
        let (valid, _) = issue(&fixture.engine, None);
        let mut client = fixture.connect();
        let answer = ask(&mut client, &batch(&[&valid, "a", &valid, "b"]));
        assert_eq!(answer.status, 200);
        assert_verdict(&ask(&mut client, &bearer(&valid)), true);
        assert_eq!(ask(&mut client, &batch(&["a", "b"])).status, 200);
        assert_throttled(&ask(&mut client, &bearer(&valid)));
        assert_throttled(&ask(&mut client, &batch(&[&valid])));
    });
}

#[test]
fn requests_that_are_no_verification_do_not_count() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, strict);
        let (valid, _) = issue(&fixture.engine, None);
        let mut client = fixture.connect();
        for _ in 0..5 {
            assert_eq!(ask(&mut client, &request("", "{}")).status, 400);
            let no_credential = "GET /verify HTTP/1.1\r\nHost: h\r\n\r\n";
            assert_eq!(ask(&mut client, no_credential).status, 401);
        }
        assert_verdict(&ask(&mut client, &bearer(&valid)), true);
    });
}

#[test]
fn self_revocations_are_counted_before_they_are_carried_out() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, strict);
        let (valid, _) = issue(&fixture.engine, None);
        let mut client = fixture.connect();
        for wanted in [201, 201, 429, 429] {
            assert_eq!(ask(&mut client, &self_revoke()).status, wanted);
        }
        assert_throttled(&ask(&mut client, &self_revoke()));
        assert_eq!(
            fixture.total(|core| core.throttled.self_revocations.get()),
            3
        );
        assert_verdict(&ask(&mut client, &bearer(&valid)), true);
        let mut other = connect_from(fixture.address, 2);
        assert_eq!(ask(&mut other, &self_revoke()).status, 201);
    });
}

#[test]
fn nobody_is_throttled_unless_it_is_asked_for() {
    both_drivers(|driver| {
        let off = Fixture::new(driver);
        let exempt = Fixture::with(driver, |options| {
            strict(options);
            options.throttle.exempt = vec!["127.0.0.0/8".parse().unwrap()];
        });
        for fixture in [off, exempt] {
            let mut client = fixture.connect();
            for _ in 0..50 {
                assert_verdict(&ask(&mut client, &bearer("guess")), false);
                assert_eq!(ask(&mut client, &self_revoke()).status, 201);
            }
        }
    });
}

#[test]
fn time_heals() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.throttle.failures = quota(1, 1));
        let (valid, _) = issue(&fixture.engine, None);
        let mut client = fixture.connect();
        assert_verdict(&ask(&mut client, &bearer("guess")), false);
        let answer = ask(&mut client, &bearer(&valid));
        if answer.status == 429 {
            assert_eq!(answer.header("Retry-After"), Some("1"));
        }
        eventually("it may ask again", || {
            fixture.ask(&bearer(&valid)).status == 200
        });
    });
}

#[test]
fn the_client_is_the_one_that_a_trusted_proxy_names() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            strict(options);
            options.client_ip_source = ClientIpSource::XRealIp;
            options.trusted_proxies = TrustedProxies::parse(&["127.0.0.1".to_owned()]);
        });
        let guess =
            |headers: &str| bearer("guess").replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
        let fails = |client: &mut Connection, headers: &str| -> Vec<u16> {
            (0..4)
                .map(|_| ask(client, &guess(headers)).status)
                .collect()
        };
        let mut proxy = fixture.connect();
        let throttled = [200, 200, 200, 429];
        for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            assert_eq!(
                fails(&mut proxy, &format!("X-Real-Ip: {client}\r\n")),
                throttled
            );
        }
        let neighbour = fails(&mut proxy, "X-Real-Ip: 2001:db8::2\r\n");
        assert_eq!(neighbour, [429; 4]);
        // Clients whose address cannot be told share one quota: that is no way out.
        assert_eq!(
            fails(
                &mut proxy,
                "X-Real-Ip: 192.0.2.3\r\nX-Real-Ip: 192.0.2.4\r\n"
            ),
            throttled
        );
        assert_eq!(fails(&mut proxy, "X-Real-Ip: nobody\r\n"), [429; 4]);
        assert_eq!(fails(&mut proxy, "X-Real-Ip: 192.0.2.5\r\n"), throttled);
        // A stranger's header is not believed.
        let mut stranger = connect_from(fixture.address, 2);
        assert_eq!(fails(&mut stranger, "X-Real-Ip: 192.0.2.6\r\n"), throttled);
        assert_eq!(fails(&mut stranger, "X-Real-Ip: 192.0.2.7\r\n"), [429; 4]);
    });
}
