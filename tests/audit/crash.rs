//! `kill -9` under writing clients: every acknowledged change has its entry.

use std::fs;
use std::net::SocketAddr;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use talos_test_kit::http::{Connection, request};
use talos_test_kit::keys::{ISSUE, Issued};

use super::{REQUIRED, lines, start, verify};
use crate::harness::site::{Server, Site};

const CLIENTS: usize = 4;
const ROUNDS: usize = 3;

/// Issues keys until the server is gone; the ids that were acknowledged.
fn issue_until_cut_off(address: SocketAddr, count: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = Connection::try_open(address) else {
        return acknowledged;
    };
    let body = json!({"name": "n", "actor_id": "a"}).to_string();
    while let Ok(answer) = client.exchange(&request("POST", ISSUE, &[], body.as_bytes())) {
        acknowledged.push(Issued::from(&answer).key_id);
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

both_drivers! {
    fn no_acknowledged_change_is_without_its_entry(driver: Driver) {
        let site = Site::new(driver);
        let file = site.directory().join("audit.log");
        let mut acknowledged = Vec::new();
        for round in 0..ROUNDS {
            let server = start(&site, &file, &REQUIRED);
            let (address, count) = (server.address, AtomicUsize::new(0));
            let issued: Vec<_> = thread::scope(|scope| {
                let count = &count;
                let clients: Vec<_> = (0..CLIENTS)
                    .map(|_| scope.spawn(move || issue_until_cut_off(address, count)))
                    .collect();
                for _ in 0..60_000 {
                    // Each round kills the server at another moment.
                    if count.load(Ordering::Relaxed) >= 40 + 23 * round {
                        break;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Server::kill(server);
                clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
            });
            assert!(issued.len() >= 40, "{}", issued.len());
            acknowledged.extend(issued);
            // As if the crash had torn a line.
            if round == 0 {
                let text = fs::read_to_string(&file).unwrap();
                fs::write(&file, text + "{\"seq\":").unwrap();
            }
        }
        let server = start(&site, &file, &REQUIRED);
        server.stop();
        let verified = verify(slice::from_ref(&file), &[]);
        verified.succeeded();
        assert!(verified.stderr.contains("not finished"), "{verified:?}");
        let text = fs::read_to_string(&file).unwrap().replace("{\"seq\":\n", "");
        fs::write(&file, text).unwrap();
        let noted: Vec<_> = lines(&[file])
            .iter()
            .filter(|line| line["status"] == 201)
            .map(|line| line["key_ids"][0].as_str().unwrap().to_owned())
            .collect();
        for key_id in &acknowledged {
            assert!(noted.contains(key_id), "{key_id} was acknowledged and is not noted");
        }
    }
}
