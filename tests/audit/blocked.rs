//! The disk of the log fills up. Needs root.

use std::slice;
use std::time::{Duration, Instant};

use serde_json::json;
use talos_test_kit::keys::{ISSUE, Issued, assert_valid};

use super::{REQUIRED, lines, start, verify};
use crate::harness::site::Site;
use crate::harness::volume::Volume;

const VOLUME_MIB: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(30);
/// More entries than fit into the block that the file has on a full disk.
const ATTEMPTS: usize = 200;

both_drivers! {
    fn no_change_is_made_while_required_entries_cannot_be_written(driver: Driver) {
        let Some(volume) = Volume::new(VOLUME_MIB) else { return };
        let site = Site::new(driver);
        let file = volume.path().join("audit.log");
        let server = start(&site, &file, &REQUIRED);
        let mut client = server.connect();
        let kept = client.issue("kept");
        let ballast = volume.fill();
        let body = json!({"name": "n", "actor_id": "a"});
        let mut acknowledged = vec![kept.key_id.clone()];
        // The first that does not fit was carried out, and its answer says so.
        let first = (0..ATTEMPTS)
            .map(|_| client.post(ISSUE, &body))
            .find(|answer| {
                if answer.status == 201 {
                    acknowledged.push(Issued::from(answer).key_id);
                }
                answer.status != 201
            })
            .expect("an entry that does not fit");
        first.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert!(first.text().contains("is not undone"), "{first:?}");
        for _ in 0..5 {
            let refused = client.post(ISSUE, &body);
            refused.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            assert!(refused.text().contains("nothing was done"), "{refused:?}");
            let list = client.call("GET", ISSUE, &[], b"");
            list.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            let own = json!({"credential": kept.secret});
            let own = client.post("/v2alpha1/apiKeys:selfRevoke", &own);
            own.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        }
        // Verification and health go on.
        assert_valid(&client.verify(&kept.secret), &kept.key_id);
        assert_eq!(client.call("GET", "/health/ready", &[], b"").status, 200);

        std::fs::remove_file(ballast).unwrap();
        let start = Instant::now();
        let again = loop {
            let answer = client.post(ISSUE, &body);
            if answer.status == 201 {
                break Issued::from(&answer).key_id;
            }
            assert!(start.elapsed() < PATIENCE, "there is room again: {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        };
        acknowledged.push(again);
        let list = client.call("GET", &format!("{ISSUE}?page_size=1000"), &[], b"");
        let keys = list.json()["issued_api_keys"].as_array().unwrap().len();
        // The one that was carried out without its entry has it now.
        assert_eq!(keys, acknowledged.len() + 1);
        let errors: Vec<_> = server
            .log_lines()
            .into_iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("the audit log cannot be written")))
            .collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        server.stop();
        assert_eq!(verify(slice::from_ref(&file), &[]).code, Some(0));
        let noted: Vec<_> = lines(&[file]).into_iter().filter(|line| line["status"] == 201).collect();
        assert_eq!(noted.len(), keys, "{noted:#?}");
        for key_id in &acknowledged {
            assert!(noted.iter().any(|line| line["key_ids"][0] == key_id.as_str()), "{key_id}");
        }
    }

    fn without_a_requirement_administrators_notice_nothing(driver: Driver) {
        let Some(volume) = Volume::new(VOLUME_MIB) else { return };
        let site = Site::new(driver);
        let file = volume.path().join("audit.log");
        let server = start(&site, &file, &[("TALOS_AUDIT_FSYNC", "always")]);
        let ballast = volume.fill();
        let mut client = server.connect();
        for _ in 0..ATTEMPTS {
            client.issue("one");
        }
        std::fs::remove_file(ballast).unwrap();
        server.stop();
        // They waited in memory, and a stop tries once more.
        assert_eq!(verify(slice::from_ref(&file), &[]).code, Some(0));
        assert_eq!(lines(&[file]).iter().filter(|line| line["status"] == 201).count(), ATTEMPTS);
    }
}
