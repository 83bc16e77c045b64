//! What the tenants share tells none of them about another: the log of changes, positions, backups
//! and metrics.

use super::*;
use crate::harness::cli::{run, talos};
use crate::harness::feed::CHANGES;
use crate::metrics;

/// The first changes that the feed of a host holds, at least `count`.
fn changes(server: &Server, host: &str, count: usize) -> Vec<Value> {
    let mut connection = server.connect();
    let head = format!("GET {CHANGES}?after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    connection.send(head.as_bytes());
    assert_eq!(connection.head().status, 200);
    let mut text = String::new();
    loop {
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let data: Vec<_> = lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        if data.len() >= count {
            return data
                .iter()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
        }
        text += &String::from_utf8(connection.chunk()).unwrap();
    }
}

both_drivers! {
    fn the_feed_of_a_tenant_holds_its_own_changes(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, mut b, mut c] = [A, B, C].map(|host| Client::new(server.address, host));
        a.issue("of a");
        b.issue("of b");
        c.issue("of c");
        a.issue("of a, too");
        for (host, id, names) in [
            (A, ID_A, &["of a", "of a, too"][..]),
            (B, ID_B, &["of b"]),
            (B2, ID_B, &["of b"]),
            (C, ID_C, &["of c"]),
        ] {
            let changes = changes(&server, host, names.len());
            for (change, name) in changes.iter().zip(names) {
                assert_eq!(change["tenant"], id, "{host} {change}");
                assert!(change.to_string().contains(&format!("\"{name}\"")), "{host} {change}");
            }
        }
        // A filter does not lead to another tenant.
        let answer = c.get(&format!("{CHANGES}?after=0&tenant={ID_A}"));
        answer.assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
        server.stop();
    }

    fn a_position_of_another_tenant_shows_none_of_its_keys(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, c] = [A, C].map(|host| Client::new(server.address, host));
        let answer = a.post(ISSUE, &json!({"name": "of a", "actor_id": "actor"}));
        let secret = answer.json()["secret"].as_str().unwrap().to_owned();
        let position: &str = answer.header("talos-position").unwrap().to_owned().leak();
        let mut c = c.with_header("Talos-Min-Position", position);
        assert_eq!(c.verdict(&secret).as_deref(), Some("NOT_FOUND"));
        assert_eq!(c.get(ISSUE).json()["issued_api_keys"], json!([]));
        server.stop();
    }

    fn a_request_id_makes_a_key_in_each_tenant(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let [mut a, mut c] = [A, C].map(|host| Client::new(server.address, host));
        let body = json!({"name": "n", "actor_id": "x", "request_id": "r1"});
        let other = json!({"name": "other", "actor_id": "x", "request_id": "r1"});
        let key = |answer: Answer| {
            let body = answer.json();
            assert!(answer.status < 300, "{body}");
            let secret = body["secret"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            (body["issued_api_key"]["key_id"].clone(), secret)
        };
        let (of_a, secret_a) = key(a.post(ISSUE, &body));
        // With the id of a request of the first tenant, the third one may ask for something else.
        let (of_c, secret_c) = key(c.post(ISSUE, &other));
        assert_ne!(of_a, of_c);
        let (secret_a, secret_c) = (secret_a.unwrap(), secret_c.unwrap());
        assert_eq!(key(a.post(ISSUE, &body)), (of_a, None));
        assert_eq!(key(c.post(ISSUE, &other)), (of_c, None));
        assert_eq!(a.post(ISSUE, &other).status, 409);
        assert_eq!((a.verdict(&secret_a), c.verdict(&secret_c)), (None, None));
        assert_eq!(c.verdict(&secret_a).as_deref(), Some("NOT_FOUND"));
        assert_eq!(a.verdict(&secret_c).as_deref(), Some("NOT_FOUND"));
        server.stop();
    }

    fn a_backup_keeps_the_tenants_apart(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        let credentials = [A, B, C].map(|host| (host, Client::new(server.address, host).issue("key").1));
        let file = site.directory().join("backup");
        let file = file.to_str().unwrap();
        let made = talos(server.address, &["backup", "create", "--output", file]);
        assert_eq!(made.code, Some(0), "{made:?}");
        server.stop();
        let to = site.directory().join("restored");
        let mut restore = Command::new(TALOS);
        without_talos_variables(&mut restore);
        restore.args(["backup", "restore", file, "--to", to.to_str().unwrap(), "--without-log"]);
        let restored = run(restore);
        assert_eq!(restored.code, Some(0), "{restored:?}");
        let site = site.with_data_in(&to);
        let server = start_with(&site, "");
        for (owner, credential) in &credentials {
            for host in [A, B, C] {
                let expected = (host != *owner).then_some("NOT_FOUND");
                assert_eq!(Client::new(server.address, host).verdict(credential).as_deref(), expected, "{host}");
            }
        }
        server.stop();
    }

    fn metrics_name_no_tenant_and_no_secret(driver: Driver) {
        let site = Site::new(driver);
        let server = start_with(&site, "");
        for host in [A, B, C] {
            let mut client = Client::new(server.address, host);
            let (_, secret) = client.issue("named-key");
            assert_eq!(client.verdict(&secret), None);
            assert_eq!(Client::new(server.address, "d.example").get(ISSUE).status, 404);
        }
        let (_, text) = metrics::Page::scrape(metrics::listener(&server));
        for private in [A, B, B2, C, ID_A, ID_B, ID_C, "d.example", "named-key", SECRET, "second tenant", "bee_"] {
            assert!(!text.contains(private), "{private}");
        }
        server.stop();
    }
}
