//! The quota of keys: it is exact even under concurrent requests, and revocations and deletions
//! free it.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued};

use crate::harness::site::{Server, Site};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";

fn start(site: &Site, api_keys_max: &str) -> Server {
    let mut command = site.command();
    command.env("TALOS_QUOTA_API_KEYS_MAX", api_keys_max);
    Server::start(
        command,
        site.directory().join(format!("quota-{api_keys_max}.log")),
    )
}

fn issue(connection: &mut Connection) -> Answer {
    connection.post(ISSUE, &json!({"name": "n", "actor_id": "a"}))
}

fn import(connection: &mut Connection, raw_key: &str) -> Answer {
    connection.post(
        IMPORT,
        &json!({"raw_key": raw_key, "name": "n", "actor_id": "a"}),
    )
}

#[track_caller]
fn assert_exceeded(answer: &Answer) {
    answer.assert_error(402, "PERMISSION_DENIED", "API_KEY_QUOTA_EXCEEDED");
}

both_drivers! {
    fn keys_that_are_not_revoked_count(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "3");
        let mut connection = server.connect();
        let issued = Issued::from(&issue(&mut connection));
        let imported = import(&mut connection, "one").json()["key_id"].as_str().unwrap().to_owned();
        let kept = Issued::from(&issue(&mut connection));
        assert_exceeded(&issue(&mut connection));
        assert_exceeded(&import(&mut connection, "two"));
        // A rotation leaves the number of keys as it is.
        let rotated = connection.post(&format!("{ISSUE}/{}:rotate", issued.key_id), &json!({}));
        assert_eq!(rotated.status, 201);
        assert_exceeded(&issue(&mut connection));

        assert_eq!(connection.revoke(&kept.key_id).status, 204);
        assert_eq!(import(&mut connection, "two").status, 201);
        assert_exceeded(&issue(&mut connection));
        assert_eq!(connection.call("DELETE", &format!("{IMPORT}/{imported}"), &[], b"").status, 204);
        let item = |raw_key: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a"});
        let batch = connection.post(&format!("{IMPORT}:batchCreate"), &json!({"requests": [item("three"), item("four")]}));
        let batch = batch.json();
        assert_eq!((&batch["success_count"], &batch["failure_count"]), (&json!(1), &json!(1)));
        assert_eq!(batch["results"][0]["error_code"], Value::Null);
        let code = "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_RESOURCE_EXHAUSTED";
        assert_eq!(batch["results"][1]["error_code"], code);
        assert_exceeded(&connection.post(&format!("{IMPORT}:batchCreate"), &json!({"requests": [item("four")]})));
        server.stop();

        let server = start(&site, "4");
        let mut connection = server.connect();
        assert_eq!(issue(&mut connection).status, 201);
        assert_exceeded(&issue(&mut connection));
        server.stop();
    }

    fn the_quota_is_exact_under_concurrent_requests(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "20");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8)
                .map(|client| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut connection = server.connect();
                        let ask = |index| match client % 2 {
                            0 => issue(&mut connection),
                            _ => import(&mut connection, &format!("raw key {client} {index}")),
                        };
                        (0..10).map(ask).collect::<Vec<_>>()
                    })
                })
                .collect();
            asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 20);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            assert_exceeded(answer);
        }
        server.stop();
    }
}
