//! A fleet under load while its network breaks, its replicas are killed and its primary is
//! replaced.
//!
//! A normal run repeats each fault a few times. `make fleet-faults` tries 50 partitions, 100 kills
//! and 20 promotions; `FLEET_SEED` repeats a run.

use std::time::Duration;

use serde_json::json;

use super::load::{Client, Dice, Ledger};
use super::network::{FAULTS, Network, host};
use super::node::{Node, Place, await_equal};

const MAX_STALENESS: Duration = Duration::from_secs(2);

/// How often a fault is repeated, in a normal run and in a whole one.
fn times(normal: u64, whole: u64) -> u64 {
    if std::env::var_os("FLEET_FAULTS").is_some() {
        whole
    } else {
        normal
    }
}

fn seed() -> u64 {
    let seed = std::env::var("FLEET_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("FLEET_SEED={seed}");
    seed
}

fn report(what: &str, ledger: &Ledger) {
    use std::sync::atomic::Ordering::Relaxed;
    eprintln!(
        "{what}: {} keys, {} writes acknowledged, {} not, {} verdicts",
        ledger.keys.lock().unwrap().len(),
        ledger.writes.load(Relaxed),
        ledger.refused_writes.load(Relaxed),
        ledger.verdicts.load(Relaxed),
    );
}

/// Three nodes, each in a namespace of its own.
fn nodes(place: &Place, network: &Network, settings: &[(&str, &str)]) -> [Node; 3] {
    [1, 2, 3].map(|number| {
        let namespace = network.namespace(number);
        let mut node = place.node_in(&namespace, &format!("node-{number}"), &host(number));
        node.set("REPLICATION_ACK_TIMEOUT", "5s");
        for (name, value) in settings {
            node.set(name, value);
        }
        node
    })
}

/// A primary and two replicas.
fn fleet(place: &Place, network: &Network, settings: &[(&str, &str)]) -> [Node; 3] {
    let mut nodes = nodes(place, network, settings);
    let [primary, one, other] = &mut nodes;
    primary.be_primary().start_ready();
    one.follow(primary).start_ready();
    other.follow(primary).start_ready();
    nodes
}

#[test]
fn after_partitions_all_nodes_are_equal() {
    let (place, network) = (Place::new(), Network::new(3));
    let nodes = fleet(&place, &network, &[]);
    let [primary, one, other] = &nodes;
    let (ledger, seed) = (Ledger::default(), seed());
    let mut dice = Dice::new(seed);
    std::thread::scope(|scope| {
        let _end = End(&ledger);
        let clients = nodes.each_ref().map(Client::of);
        let [writes, ..] = clients.clone();
        let ledger = &ledger;
        scope.spawn(move || ledger.write(&writes, seed + 1));
        for (client, number) in clients.into_iter().zip(2..) {
            scope.spawn(move || ledger.question(&client, MAX_STALENESS, seed + number));
        }
        for round in 0..times(5, 50) {
            let fault = FAULTS[usize::try_from(round).unwrap() % FAULTS.len()];
            // A fault at the primary cuts off both replicas.
            let node = *dice.pick(&[1, 2, 2, 3, 3]);
            network.harm(node, fault);
            std::thread::sleep(Duration::from_millis(50 + dice.below(4_000)));
            network.heal(node);
            ledger.pause();
            await_equal(primary, one);
            await_equal(primary, other);
            ledger.go_on();
            ledger.assert_right();
            std::thread::sleep(Duration::from_millis(dice.below(500)));
        }
    });
    ledger.assert_right();
    report("partitions", &ledger);
    for node in &nodes {
        ledger.assert_kept(node);
    }
}

#[test]
fn killed_replicas_come_back_with_every_write() {
    let (place, network) = (Place::new(), Network::new(3));
    // The log is short, so a replica that begins anew needs a full copy. Copies are slow enough to
    // kill a replica in the middle of one. The primary counts the copy of a killed replica for a
    // while, so more than two must be allowed at once.
    let settings = [
        ("REPLICATION_SNAPSHOTS_CONCURRENT", "8"),
        ("REPLICATION_SNAPSHOTS_RATE", "8 MiB"),
        ("REPLICATION_LOG_MAX_BYTES", "1 MiB"),
    ];
    let mut nodes = nodes(&place, &network, &settings);
    let [primary, one, other] = &mut nodes;
    primary.be_primary().start_ready();
    for batch in 0..6 {
        import(primary, batch);
    }
    primary.stop();
    primary.start_ready();
    one.follow(primary).start_ready();
    other.follow(primary).start_ready();
    let (ledger, seed) = (Ledger::default(), seed());
    let mut dice = Dice::new(seed);
    let clients = nodes.each_ref().map(Client::of);
    let mut in_copies = 0;
    std::thread::scope(|scope| {
        let _end = End(&ledger);
        let [writes, ..] = clients.clone();
        let ledger = &ledger;
        scope.spawn(move || ledger.write(&writes, seed + 1));
        for (client, number) in clients.into_iter().zip(2..) {
            scope.spawn(move || ledger.question(&client, MAX_STALENESS, seed + number));
        }
        let wanted = times(2, 20);
        for round in 0..times(8, 100) {
            let (primary, replicas) = nodes.split_first_mut().unwrap();
            let replica = &mut replicas[usize::try_from(round % 2).unwrap()];
            let copies = round % 4 == 0 && in_copies < wanted;
            if copies {
                // The replica begins anew and is killed in the middle of its copy.
                replica.kill();
                std::fs::remove_dir_all(replica.data()).unwrap();
                replica.start();
                let copying = replica.until("a copy, or its end", |replica| {
                    let copying = replica.status()["primary"]["state"] == "copying";
                    (copying || replica.is_ready()).then_some(copying)
                });
                in_copies += u64::from(copying);
            }
            std::thread::sleep(Duration::from_millis(dice.below(300)));
            replica.kill();
            std::thread::sleep(Duration::from_millis(dice.below(200)));
            replica.start();
            if round % 4 == 3 {
                replica.await_ready();
                ledger.pause();
                await_equal(primary, replica);
                ledger.go_on();
            }
            ledger.assert_right();
        }
        let [primary, one, other] = &mut nodes;
        one.await_ready();
        other.await_ready();
        ledger.pause();
        await_equal(primary, one);
        await_equal(primary, other);
        assert!(in_copies >= wanted, "only {in_copies} kills met a copy");
    });
    ledger.assert_right();
    report(&format!("kills, {in_copies} of them in copies"), &ledger);
    for node in &nodes {
        ledger.assert_kept(node);
    }
}

#[test]
fn promotions_lose_no_acknowledged_write() {
    let (place, network) = (Place::new(), Network::new(3));
    let mut nodes = Vec::from(fleet(&place, &network, &[("REPLICATION_MIN_ACKS", "1")]));
    let (ledger, seed) = (Ledger::default(), seed());
    let mut dice = Dice::new(seed);
    for round in 0..times(2, 20) {
        // The primary is the first element.
        std::thread::scope(|scope| {
            let end = End(&ledger);
            let primary = Client::of(&nodes[0]);
            let ledger = &ledger;
            let writers = [0, 1].map(|writer| {
                let primary = primary.clone();
                scope.spawn(move || ledger.write(&primary, seed + 10 * round + writer))
            });
            std::thread::sleep(Duration::from_millis(1_000 + dice.below(2_000)));
            if dice.below(2) == 0 {
                nodes[0].kill();
                drop(end);
                let _ = writers.map(std::thread::ScopedJoinHandle::join);
            } else {
                // The old primary runs on, cut off from the others.
                let number = number_of(&nodes[0]);
                network.harm(number, super::network::Fault::Drop);
                std::thread::sleep(Duration::from_millis(dice.below(1_000)));
                drop(end);
                let _ = writers.map(std::thread::ScopedJoinHandle::join);
                nodes[0].kill();
                network.heal(number);
            }
        });
        ledger
            .ended
            .store(false, std::sync::atomic::Ordering::SeqCst);
        // Every acknowledged write is on one of the other two nodes, so the one with the higher
        // position has all of them.
        if come(&nodes[2]) > come(&nodes[1]) {
            nodes.swap(1, 2);
        }
        let promoted = nodes[1].ask(
            "POST",
            "/v2alpha1/admin/replication:promote",
            &serde_json::Value::Null,
        );
        assert_eq!(promoted.status, 200, "{promoted:?}");
        nodes.swap(0, 1);
        let (primary, others) = nodes.split_first_mut().unwrap();
        let [old, other] = others else { unreachable!() };
        other.stop();
        other.follow(primary).start();
        old.follow(primary).start();
        for node in [&mut *old, &mut *other] {
            let diverged = node.until("readiness or divergence", |node| {
                let diverged = node.status()["primary"]["diverged"] == true;
                (diverged || node.is_ready()).then_some(diverged)
            });
            if diverged {
                let path = "/v2alpha1/admin/replication:rejoin";
                let rejoined = node.ask("POST", path, &serde_json::Value::Null);
                assert_eq!(rejoined.status, 200, "{rejoined:?}");
            }
            node.await_ready();
            await_equal(primary, node);
        }
        for node in &nodes {
            ledger.assert_kept(node);
        }
    }
    report("promotions", &ledger);
}

/// Imports a thousand keys of about a kilobyte each, compressed or not.
fn import(node: &Node, batch: u32) {
    let mut dice = Dice::new(u64::from(batch));
    let mut filler = || {
        (0..44)
            .map(|_| format!("{:016x}", dice.below(u64::MAX)))
            .collect::<String>()
    };
    let mut key = |number: u32| {
        json!({
            "name": "imported",
            "raw_key": format!("imported-{batch}-{number:032}"),
            "actor_id": "tester",
            "metadata": {"filler": filler()},
        })
    };
    let keys: Vec<_> = (0..1000).map(&mut key).collect();
    let path = "/v2alpha1/admin/importedApiKeys:batchCreate";
    node.ask("POST", path, &json!({ "requests": keys }))
        .expect(200);
}

fn number_of(node: &Node) -> u8 {
    node.name.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// The sequence of the last change of a node.
fn come(node: &Node) -> u64 {
    let position = node.status()["position"].as_str().unwrap().to_owned();
    position.split_once('.').unwrap().1.parse().unwrap()
}

/// Ends the load when dropped, even if the test fails, so that its threads end.
struct End<'a>(&'a Ledger);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
