//! The way to the control plane and back, and what may go wrong on it.

use talos_server::ClientIpSource;

use crate::support::{ALIVE, ECHO, Fixture, both_drivers, eventually, post};

#[test]
fn the_control_plane_gets_the_request_as_it_came() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let answer = fixture.ask(
            "POST /v2alpha1/admin/issuedApiKeys?a=%2F HTTP/1.1\r\nHOST: Example.org:80\r\nB: 1\r\na: 2 \r\nB: 3\r\n\
             X-Request-Id: r\r\nContent-Type: application/json\r\nX-Test: later\r\nContent-Length: 4\r\n\r\nb\0dy",
        );
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("Content-Type"), Some("text/plain"));
        assert_eq!(answer.header("X-Request-Id"), Some("r"));
        assert_eq!(
            answer.text(),
            format!(
                "POST {ECHO}?a=%2F Example.org:80 r\nb=1\na=2\nb=3\nx-request-id=r\nx-test=later\ncontent-length=4\nb\0dy"
            )
        );
        assert_eq!(fixture.total(|core| core.requests.control.of(201).get()), 1);
    });
}

#[test]
fn the_control_plane_gets_the_address_that_the_source_says() {
    both_drivers(|driver| {
        for (source, forwarded, wanted) in [
            (ClientIpSource::RemoteAddress, "10.0.0.1", "Some(127.0.0.1)"),
            (
                ClientIpSource::XForwardedFor,
                "10.0.0.1, ::1",
                "Some(10.0.0.1)",
            ),
            (
                ClientIpSource::XForwardedFor,
                "::ffff:10.0.0.1",
                "Some(10.0.0.1)",
            ),
            (ClientIpSource::XForwardedFor, "", "Some(127.0.0.1)"),
            (ClientIpSource::XForwardedFor, "nobody", "None"),
        ] {
            let fixture = Fixture::with(driver, |options| options.client_ip_source = source);
            let fields = format!("X-Test: address\r\nX-Forwarded-For: {forwarded}\r\n");
            assert_eq!(
                fixture.ask(&post(&fields, "")).text(),
                wanted,
                "{forwarded}"
            );
        }
    });
}

#[test]
fn a_full_queue_is_503_with_retry_after() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(post("X-Test: full\r\n", "").as_bytes());
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.reason()),
            (503, "SERVICE_UNAVAILABLE")
        );
        assert_eq!(answer.header("Retry-After"), Some("1"));
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200, "the connection goes on");
        assert_eq!(fixture.total(|core| core.overloads.get()), 1);
    });
}

#[test]
fn a_dropped_reply_is_500_and_the_connection_goes_on() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(post("X-Test: drop\r\nX-Request-Id: i\r\n", "").as_bytes());
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.reason()),
            (500, "INTERNAL_SERVER_ERROR")
        );
        assert_eq!(answer.header("X-Request-Id"), Some("i"));
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn a_panic_costs_its_connection_and_nothing_else() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut other = fixture.connect();
        other.send(ALIVE.as_bytes());
        other.answer();
        for n in 1..=3 {
            let mut client = fixture.connect();
            client.send(
                format!(
                    "{ALIVE}{}{ALIVE}",
                    post("X-Test: panic\r\nX-Request-Id: i\r\n", "")
                )
                .as_bytes(),
            );
            assert_eq!(client.answer().status, 200);
            let answer = client.answer();
            assert_eq!(
                (answer.status, &*answer.reason()),
                (500, "INTERNAL_SERVER_ERROR")
            );
            assert_eq!(
                (answer.header("Connection"), answer.header("X-Request-Id")),
                (Some("close"), Some("i"))
            );
            assert!(client.is_closed());
            assert_eq!(fixture.total(|core| core.panics.get()), n);
        }
        other.send(ALIVE.as_bytes());
        assert_eq!(other.answer().status, 200);
    });
}

#[test]
fn a_held_request_delays_only_its_connection() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut held: Vec<_> = (0..20)
            .map(|n| {
                let mut client = fixture.connect();
                client.send(
                    format!("{ALIVE}{}{ALIVE}", post("X-Test: hold\r\n", &n.to_string()))
                        .as_bytes(),
                );
                client
            })
            .collect();
        fixture.control.await_held(20);
        for client in &mut held {
            assert_eq!(
                client.answer().status,
                200,
                "what was ready is sent before the wait"
            );
            assert!(client.hears_nothing());
        }
        for _ in 0..10 {
            assert_eq!(fixture.ask(ALIVE).status, 200);
        }
        fixture.control.release();
        for (n, client) in held.iter_mut().enumerate() {
            assert!(client.answer().text().ends_with(&format!("\n{n}")));
            assert_eq!(client.answer().status, 200);
        }
    });
}

#[test]
fn a_client_that_leaves_while_its_request_is_held_leaves_nothing_behind() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(post("X-Test: hold\r\n", "").as_bytes());
        fixture.control.await_held(1);
        drop(client);
        fixture.control.release();
        eventually("the connection is gone", || {
            fixture.total(|core| core.connections_open.get()) == 0
        });
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

#[test]
fn many_replies_from_other_threads_all_arrive() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.workers = 2);
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let fixture = &fixture;
                scope.spawn(move || {
                    let mut client = fixture.connect();
                    for n in 0..500 {
                        client.send(post("X-Test: later\r\n", &format!("{worker}-{n}")).as_bytes());
                        assert!(client.answer().text().ends_with(&format!("\n{worker}-{n}")));
                    }
                });
            }
        });
    });
}

#[test]
fn a_client_that_hangs_up_gives_its_place_back() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(post("X-Test: hold\r\n", "").as_bytes());
        fixture.control.await_held(1);
        drop(client);
        fixture.control.await_gone();
        eventually("the connection has ended", || {
            fixture.total(|core| core.connections_open.get()) == 0
        });
    });
}
