//! The power fails while eight clients write: every acknowledged write is on the disk. Needs root.

use crate::harness::ledger::{Ledger, check_all, write_from};
use crate::harness::site::Site;
use crate::harness::volume::Volume;

const CLIENTS: usize = 8;
const VOLUME_MIB: u64 = 256;

fn rounds() -> u32 {
    std::env::var("TALOS_TEST_CUT_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

both_drivers! {
    fn nothing_acknowledged_is_lost(driver: Driver) {
        let Some(mut volume) = Volume::new(VOLUME_MIB) else { return };
        let mut site = Site::new(driver).with_data_in(&volume.path().join("data"));
        let mut ledgers: Vec<Ledger> = Vec::new();
        for round in 0..rounds() {
            let server = site.start();
            let name = format!("cut-{round}");
            let written = write_from(CLIENTS, server.address, &name, |progress| {
                progress.wait_for(100 + 37 * round as usize);
                volume.cut_power();
            });
            server.kill();
            let acknowledged: usize = written.iter().map(Ledger::acknowledged).sum();
            assert!(acknowledged >= 100, "{acknowledged}");
            ledgers.extend(written);
            volume.remount();
            let server = site.start();
            check_all(&mut ledgers, server.address);
            server.stop();
        }
    }
}
