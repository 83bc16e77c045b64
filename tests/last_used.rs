//! The time of a key's last use: it is shown soon, and kept over a restart.

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::site::Site;

/// The time of a key's last use in its resource, in a list and in the answer to an update, which
/// must agree.
fn last_used(connection: &mut Connection, key_id: &str) -> Value {
    let shown = connection.get(key_id)["last_used_time"].clone();
    let list = connection.call("GET", ISSUE, &[], b"").json();
    let keys = list["issued_api_keys"].as_array().unwrap();
    let listed = keys.iter().find(|key| key["key_id"] == key_id).unwrap();
    assert_eq!(listed["last_used_time"], shown);
    let body = json!({"name": "renamed"}).to_string();
    let updated = connection.call("PATCH", &format!("{ISSUE}/{key_id}"), &[], body.as_bytes());
    assert_eq!(updated.json()["last_used_time"], shown);
    shown
}

both_drivers! {
    fn the_last_use_is_shown_and_outlives_a_stop(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let (used, unused) = (connection.issue("used"), connection.issue("unused"));
        assert_eq!(last_used(&mut connection, &used.key_id), Value::Null);
        assert_valid(&connection.verify(&used.secret), &used.key_id);
        assert_refused(&connection.verify(&format!("{}x", unused.secret)), "NOT_FOUND");
        let shown = last_used(&mut connection, &used.key_id);
        let created = connection.get(&used.key_id)["create_time"].clone();
        assert!(shown.as_str() >= created.as_str(), "{shown} {created}");
        assert_eq!(last_used(&mut connection, &unused.key_id), Value::Null);

        let rotated = connection.post(&format!("{ISSUE}/{}:rotate", used.key_id), &json!({})).json();
        let next = rotated["issued_api_key"]["key_id"].as_str().unwrap().to_owned();
        assert_eq!(last_used(&mut connection, &next), Value::Null);
        server.stop();

        let server = site.start();
        let mut connection = server.connect();
        assert_eq!(last_used(&mut connection, &used.key_id), shown);
        assert_eq!(last_used(&mut connection, &next), Value::Null);
        server.stop();
    }
}
