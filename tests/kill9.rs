//! `kill -9` under eight writing clients: after each restart every acknowledged write is there.

use std::time::Duration;

use crate::harness::ledger::{check_all, write_from};
use crate::harness::site::{Server, Site};

const CLIENTS: usize = 8;

fn rounds() -> u32 {
    std::env::var("TALOS_TEST_KILL_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

both_drivers! {
    fn nothing_acknowledged_is_lost(driver: Driver) {
        let mut site = Site::new(driver);
        let mut ledgers = Vec::new();
        for round in 0..rounds() {
            let mut server = Some(site.start());
            let address = server.as_ref().unwrap().address;
            let name = format!("kill-{round}");
            let written = write_from(CLIENTS, address, &name, |progress| {
                // Each round kills the server at another moment.
                progress.wait_for(100 + 37 * round as usize);
                server.take().map(Server::kill).unwrap();
            });
            assert!(written.iter().all(|ledger| ledger.acknowledged() > 0), "a client wrote nothing");
            ledgers.extend(written);
            let server = site.start();
            check_all(&mut ledgers, server.address);
            server.kill();
        }
    }

    /// A crash while the server creates its database, or cleans up after an earlier crash, leaves a
    /// database that opens.
    fn a_start_that_is_killed_can_be_repeated(driver: Driver) {
        for round in 0..8 {
            let mut site = Site::new(driver);
            for kill in 0..5 {
                let mut starting = site.command().stderr(std::process::Stdio::null()).spawn().unwrap();
                // A start takes some 50 ms; each round kills the server at another moment of it.
                std::thread::sleep(Duration::from_millis((round * 7 + kill * 13) % 60));
                starting.kill().unwrap();
                starting.wait().unwrap();
            }
            let server = site.start();
            server.connect().issue("after all that");
            server.stop();
        }
    }
}
