//! The disk fills up: writes are refused, verification goes on, and nothing acknowledged is lost.
//! Needs root.

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::Site;
use crate::harness::volume::Volume;
use crate::metrics;

/// Storage reserves some 70 MiB for its log when it opens.
const VOLUME_MIB: u64 = 192;
/// Far more writes than fit into the blocks that files have allocated on a full disk.
const ATTEMPTS: usize = 20_000;

fn issue_large(connection: &mut Connection, number: usize) -> Answer {
    let metadata = "x".repeat(32 << 10);
    connection.post(
        ISSUE,
        &json!({"name": format!("large {number}"), "actor_id": "a", "metadata": {"x": metadata}}),
    )
}

both_drivers! {
    fn writes_stop_and_verification_goes_on(driver: Driver) {
        let Some(volume) = Volume::new(VOLUME_MIB) else { return };
        let mut site = Site::new(driver).with_data_in(&volume.path().join("data"));
        let server = site.start();
        let mut connection = server.connect();
        let (kept, revoked) = (connection.issue("kept"), connection.issue("revoked"));
        assert_eq!(connection.revoke(&revoked.key_id).status, 204);

        let ballast = volume.fill();
        let mut acknowledged = Vec::new();
        let refused = (0..ATTEMPTS).map(|number| issue_large(&mut connection, number)).find(|answer| {
            if answer.status == 201 {
                acknowledged.push(Issued::from(answer));
            }
            answer.status != 201
        });
        let refused = refused.expect("a write that does not fit");
        refused.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert!(refused.header("retry-after").is_some(), "{refused:?}");

        // After a failed write the server acknowledges nothing: neither small writes nor
        // revocations.
        for _ in 0..3 {
            let small = connection.post(ISSUE, &json!({"name": "small", "actor_id": "a"}));
            small.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            connection.revoke(&kept.key_id).assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        }
        for headers in [[].as_slice(), &[("Cache-Control", "no-store")]] {
            assert_valid(&connection.verify_with(&kept.secret, headers), &kept.key_id);
            assert_refused(&connection.verify_with(&revoked.secret, headers), "REVOKED");
        }
        let ready = connection.call("GET", "/health/ready", &[], b"");
        ready.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert_eq!(connection.call("GET", "/health/alive", &[], b"").status, 200);
        let metrics = metrics::listener(&server);
        assert_eq!(metrics::get(metrics, "/health/ready").status, 503);
        assert_eq!(metrics::get(metrics, "/health/alive").status, 200);
        let (page, text) = metrics::Page::scrape(metrics);
        assert!(page.sum("talos_writes_stopped", &[]) > 0.0, "{text}");
        server.kill();

        std::fs::remove_file(ballast).unwrap();
        let server = site.start();
        let mut connection = server.connect();
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        assert_refused(&connection.verify(&revoked.secret), "REVOKED");
        for key in &acknowledged {
            assert_valid(&connection.verify(&key.secret), &key.key_id);
        }
        connection.issue("there is room again");
        server.stop();
    }
}
