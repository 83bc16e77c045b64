//! What the data plane notes in the audit log: refused requests and failed verifications.

use std::sync::{Arc, Mutex};

use talos_api::audit::{AuditLog, Blocked, Entry, Event, Notice, Place};
use talos_model::TenantId;
use talos_server::DriverChoice;

use crate::support::{ECHO, Fixture, both_drivers};
use crate::verification::{issue, of, request, revoke};

/// A log in memory, for notices only.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(Notice, Entry)>>);

impl AuditLog for Notes {
    fn reserve(&self) -> Result<Box<dyn Place>, Blocked> {
        panic!("the data plane reserves no place");
    }

    fn note(&self, notice: Notice, entry: &mut dyn FnMut() -> Entry) {
        self.0.lock().unwrap().push((notice, entry()));
    }
}

fn with_notes(driver: DriverChoice) -> (Fixture, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let log = Arc::clone(&notes) as Arc<dyn AuditLog>;
    let fixture = Fixture::with(driver, |options| options.audit = Some(log));
    (fixture, notes)
}

fn taken(notes: &Notes) -> Vec<(Notice, Entry)> {
    std::mem::take(&mut *notes.0.lock().unwrap())
}

const FAILURE: Notice = Notice::Verification(TenantId::SINGLE);

#[test]
fn failed_verifications_are_noted_whatever_the_route() {
    both_drivers(|driver| {
        let (fixture, notes) = with_notes(driver);
        let (valid, _) = issue(&fixture.engine, None);
        let (revoked, key_id) = issue(&fixture.engine, None);
        revoke(&fixture.engine, key_id);
        fixture.ask(&request("", &of(&valid)));
        assert!(taken(&notes).is_empty(), "a success is not noted");

        // From memory and from storage.
        for fields in ["", "Cache-Control: no-store\r\n", "X-Request-Id: mine\r\n"] {
            fixture.ask(&request(fields, &of(&revoked)));
            let [(notice, entry)] = &taken(&notes)[..] else {
                panic!("one note");
            };
            assert_eq!((*notice, entry.event), (FAILURE, Event::VerificationFailed));
            assert_eq!(entry.reason.as_deref(), Some("VERIFICATION_ERROR_REVOKED"));
            assert_eq!(entry.client, Some([127, 0, 0, 1].into()));
            assert_eq!(entry.operation, "adminVerifyApiKey");
            let part = entry.credential.as_ref().unwrap();
            let start = part.start.as_deref().unwrap();
            assert!(revoked.starts_with(start) && start.len() < 20, "{start}");
            assert_eq!(entry.request_id == "mine", fields.contains("mine"));
        }
        let body = format!(
            r#"{{"requests":[{},{},{}]}}"#,
            of(&valid),
            of("a-foreign-secret"),
            of(&revoked)
        );
        let batch = request("", &body).replacen("apiKeys:verify", "apiKeys:batchVerify", 1);
        fixture.ask(&batch);
        let noted = taken(&notes);
        assert_eq!(noted.len(), 2);
        assert!(
            noted
                .iter()
                .all(|(_, entry)| entry.operation == "adminBatchVerifyApiKeys")
        );
        assert_eq!(noted[0].1.credential.as_ref().unwrap().kind, "other");
        assert!(!format!("{noted:?}").contains("a-foreign-secret"));
        fixture.ask(&format!(
            "GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {revoked}\r\n\r\n"
        ));
        assert_eq!(taken(&notes)[0].1.route, "/verify");
        // No credential at all is a malformed request.
        fixture.ask(&request("", "{}"));
        assert!(taken(&notes).is_empty());
    });
}

#[test]
fn requests_that_never_reach_the_control_plane_are_noted() {
    both_drivers(|driver| {
        let (fixture, notes) = with_notes(driver);
        let id = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
        for (fields, status, reason) in [
            ("Origin: http://evil.example\r\n", 403, "FORBIDDEN"),
            (
                "Content-Type: text/plain\r\n",
                415,
                "UNSUPPORTED_MEDIA_TYPE",
            ),
        ] {
            let answer = fixture.ask(&format!(
                "POST {ECHO}/{id}:revoke HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n{fields}\r\n{{}}"
            ));
            assert_eq!(answer.status, status);
            let [(notice, entry)] = &taken(&notes)[..] else {
                panic!("one note");
            };
            assert_eq!(
                (*notice, entry.event),
                (Notice::Request, Event::RequestRefused)
            );
            assert_eq!(
                (entry.status, entry.reason.as_deref()),
                (status, Some(reason))
            );
            assert_eq!(entry.route, format!("{ECHO}/{{key_id}}:revoke"));
            assert_eq!(entry.key_ids[0].to_string(), id);
        }
        // Those that reach it are noted there.
        fixture.ask(&crate::support::post("", "{}"));
        fixture.ask("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(taken(&notes).is_empty());
    });
}
