use std::time::Duration;

use super::*;

const ATTACKER: &str = "192.0.2.1";

fn quota(quota: u64, window_s: u64) -> ThrottleRate {
    ThrottleRate {
        quota: Some(quota),
        window: Duration::from_secs(window_s),
    }
}

fn throttle(source: ClientIpSource) -> Throttle {
    let settings = talos_config::Throttle {
        failures: quota(3, 60),
        self_revocations: quota(2, 60),
        exempt: vec!["198.51.100.0/24".parse().unwrap()],
    };
    Throttle::new(settings, source).unwrap()
}

fn of(client: &str) -> Origin {
    let client = client.parse().ok();
    Origin {
        client,
        peer: client,
    }
}

/// Fails until the client must wait; how often it could, and for how long it must wait then.
fn fail(throttle: &Throttle, origin: Origin, now: CoarseMillis) -> (u32, Option<u32>) {
    for failures in 0..10 {
        if let Some(wait) = throttle.wait_s(Offence::Failure, origin, now) {
            return (failures, Some(wait));
        }
        throttle.count(Offence::Failure, origin, 1, now);
    }
    (10, None)
}

#[test]
fn without_a_quota_there_is_no_throttle() {
    let settings = talos_config::Throttle::default();
    assert!(Throttle::new(settings, ClientIpSource::RemoteAddress).is_none());
    let only = talos_config::Throttle {
        failures: quota(1, 1),
        ..talos_config::Throttle::default()
    };
    let throttle = Throttle::new(only, ClientIpSource::RemoteAddress).unwrap();
    for _ in 0..10 {
        let wait = throttle.take(Offence::SelfRevocation, of(ATTACKER), CoarseMillis(0));
        assert_eq!(wait, None);
    }
}

#[test]
fn a_client_that_fails_waits_and_others_do_not() {
    let throttle = throttle(ClientIpSource::RemoteAddress);
    let now = CoarseMillis(1000);
    assert_eq!(fail(&throttle, of(ATTACKER), now), (3, Some(20)));
    assert_eq!(fail(&throttle, of("192.0.2.2"), now), (3, Some(20)));
    // What it may do else is counted apart.
    let revoke = |now| throttle.take(Offence::SelfRevocation, of(ATTACKER), now);
    assert_eq!(
        [revoke(now), revoke(now), revoke(now)],
        [None, None, Some(30)]
    );
    // One comes back after a third of the window, and all after the whole.
    let early = CoarseMillis(20_999);
    assert_eq!(
        throttle.wait_s(Offence::Failure, of(ATTACKER), early),
        Some(1)
    );
    assert_eq!(fail(&throttle, of(ATTACKER), CoarseMillis(21_000)).0, 1);
    assert_eq!(fail(&throttle, of(ATTACKER), CoarseMillis(200_000)).0, 3);
}

#[test]
fn a_batch_is_paid_for_afterwards() {
    let throttle = throttle(ClientIpSource::RemoteAddress);
    let now = CoarseMillis(0);
    throttle.count(Offence::Failure, of(ATTACKER), 100, now);
    // Of 100 failures 98 must have come back before one more is allowed.
    let wait = throttle.wait_s(Offence::Failure, of(ATTACKER), now);
    assert_eq!(wait, Some(98 * 20));
}

#[test]
fn networks_are_clients_and_the_exempt_are_none() {
    let throttle = throttle(ClientIpSource::RemoteAddress);
    let now = CoarseMillis(0);
    assert_eq!(fail(&throttle, of("2001:db8::1"), now).0, 3);
    assert_eq!(fail(&throttle, of("2001:db8::2"), now).0, 0);
    assert_eq!(fail(&throttle, of("2001:db8:0:1::1"), now).0, 3);
    assert_eq!(fail(&throttle, of("::ffff:192.0.2.1"), now).0, 3);
    assert_eq!(fail(&throttle, of(ATTACKER), now).0, 0);
    for address in ["198.51.100.7", "::ffff:198.51.100.7"] {
        assert_eq!(fail(&throttle, of(address), now), (10, None));
        for _ in 0..10 {
            assert_eq!(
                throttle.take(Offence::SelfRevocation, of(address), now),
                None
            );
        }
    }
}

#[test]
fn an_unknown_address_is_no_way_out() {
    let now = CoarseMillis(0);
    let behind = |peer: Option<&str>| Origin {
        client: None,
        peer: peer.map(|text| text.parse().unwrap()),
    };
    let throttle = throttle(ClientIpSource::XRealIp);
    // The unknown clients behind one proxy share a quota, apart from those that are known.
    assert_eq!(fail(&throttle, behind(Some("10.0.0.1")), now).0, 3);
    assert_eq!(fail(&throttle, behind(Some("10.0.0.1")), now).0, 0);
    assert_eq!(fail(&throttle, behind(Some("10.0.0.2")), now).0, 3);
    assert_eq!(fail(&throttle, of("10.0.0.1"), now).0, 3);
    assert_eq!(fail(&throttle, behind(None), now).0, 3);
    // Without a header the peers of a Unix socket are programs on this machine.
    let throttle = self::throttle(ClientIpSource::RemoteAddress);
    assert_eq!(fail(&throttle, behind(None), now), (10, None));
}

#[test]
fn only_what_the_client_did_is_a_failure() {
    assert!(is_failure(Refusal::NotFound) && is_failure(Refusal::InvalidFormat));
    assert!(!is_failure(Refusal::Internal) && !is_failure(Refusal::RateLimited));
}
