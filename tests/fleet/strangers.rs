//! A node without the secret cannot follow, and learns nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::node::{Place, await_equal, key_of};
use super::relay::Relay;
use crate::harness::tokens::SECRET;

#[test]
fn a_node_with_another_secret_gets_nothing_and_is_counted() {
    let place = Place::new();
    let (mut primary, mut stranger) = (place.node("primary"), place.node("stranger"));
    primary.be_primary().start_ready();
    let key = primary.issue("one");
    stranger
        .follow(&primary)
        .set(
            "REPLICATION_SECRET",
            "some other secret of at least 32 bytes",
        )
        .start();
    let refusals = primary.until("a refusal", |primary| {
        let refusals = primary.status()["refusals"].clone();
        refusals
            .as_array()
            .is_some_and(|all| !all.is_empty())
            .then_some(refusals)
    });
    assert!(refusals[0]["count"].as_u64().unwrap() > 0, "{refusals}");
    let status = stranger.status();
    assert!(status["primary"]["last_error"].is_string(), "{status}");
    assert_eq!(
        (&status["ready"], &status["position"]),
        (&false.into(), &"1.0".into())
    );
    assert!(!stranger.accepts(&key));
    assert!(primary.status()["replicas"].as_array().unwrap().is_empty());
}

#[test]
fn a_secret_is_replaced_node_by_node() {
    const OLD: &str = "the secret of before which is long enough";
    const NEW: &str = "the secret of after which is long enough";
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().set("REPLICATION_SECRET", OLD);
    replica.follow(&primary).set("REPLICATION_SECRET", OLD);
    primary.start_ready();
    replica.start_ready();
    let steps = [(OLD, NEW), (NEW, OLD), (NEW, "")];
    for (current, retired) in steps {
        for turn in 0..2 {
            let node = if turn == 0 {
                &mut primary
            } else {
                &mut replica
            };
            node.stop();
            node.set("REPLICATION_SECRET", current)
                .set("REPLICATION_SECRET_RETIRED", retired)
                .start();
            primary.await_ready();
            replica.await_ready();
            let issued = primary.try_issue("one").expect(201);
            assert!(replica.accepts_at(&key_of(&issued), &issued.position()));
        }
    }
    await_equal(&primary, &replica);
}

#[test]
fn noise_on_the_port_neither_harms_a_primary_nor_learns_anything() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0; 4096],
        &[0xff; 64],
    ] {
        let mut stream = TcpStream::connect(primary.listens_at()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // The connection may be cut in the middle of the message.
        let _ = stream.write_all(noise);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 64, "{answer:?}");
    }
    let issued = primary.try_issue("one").expect(201);
    assert!(replica.accepts_at(&key_of(&issued), &issued.position()));
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn recorded_traffic_reveals_nothing_and_cannot_be_replayed() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    // The replica gets one key with its first copy or log, and the other as a change.
    let before = primary.issue("a name from before");
    let relay = Relay::new(primary.listens_at());
    replica
        .follow(&primary)
        .set("REPLICATION_PRIMARY", &relay.address)
        .start_ready();
    let issued = primary.try_issue("a name from after").expect(201);
    let after = key_of(&issued);
    assert!(replica.accepts_at(&after, &issued.position()));
    let said = relay.everything();
    assert!(said.len() > 500, "{} bytes", said.len());
    let id = |text: &str| uuid_bytes(text).to_vec();
    for part in [
        before.secret.as_bytes().to_vec(),
        after.secret.as_bytes().to_vec(),
        SECRET.as_bytes().to_vec(),
        b"a name from".to_vec(),
        b"tester".to_vec(),
        before.id.as_bytes().to_vec(),
        id(&before.id),
        id(&after.id),
    ] {
        assert!(!holds(&said, &part), "{}", String::from_utf8_lossy(&part));
    }

    let refusals = |count: u64| {
        primary.until("refusals", |primary| {
            let refusals = primary.status()["refusals"].clone();
            let all = refusals.as_array().unwrap().iter();
            let sum: u64 = all.map(|one| one["count"].as_u64().unwrap()).sum();
            (sum >= count).then_some(())
        });
    };
    let recorded = relay.connections.lock().unwrap()[0].clone();
    let again = recorded.to_target.lock().unwrap().clone();
    let answered = recorded.from_target.lock().unwrap().len();
    for round in 1..=3 {
        let mut stream = TcpStream::connect(primary.listens_at()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let _ = stream.write_all(&again);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // The node may send its challenge and a refusal, and nothing more.
        assert!(
            answer.len() < 300 && answer.len() < answered,
            "{} bytes",
            answer.len()
        );
        refusals(round);
    }
    // The replica is not affected.
    primary.until("the replica", |primary| {
        let replicas = primary.status()["replicas"].clone();
        (replicas.as_array().unwrap().len() == 1).then_some(())
    });
    let last = primary.try_issue("at last").expect(201);
    assert!(replica.accepts_at(&key_of(&last), &last.position()));
    assert_eq!(relay.connections.lock().unwrap().len(), 1);
}

fn uuid_bytes(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap().to_be_bytes()
}
