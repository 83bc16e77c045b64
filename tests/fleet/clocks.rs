//! Nodes compare their clocks.

use serde_json::Value;

use super::node::{Node, Place};
use crate::harness::fake_clock::FakeClock;

fn offset_ms(replica: &Node) -> Option<i64> {
    let status = replica.ask("GET", "/v2alpha1/admin/replication", &Value::Null);
    status.expect(200).body["primary"]["clock_offset_ms"].as_i64()
}

#[test]
fn a_replica_shows_and_reports_that_its_clock_differs_from_that_of_its_primary() {
    let place = Place::new();
    let Some(clock) = FakeClock::new(place.path()) else {
        return;
    };
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).have_clock(clock).start_ready();
    replica.until("a small offset", |replica| {
        offset_ms(replica).filter(|offset| offset.abs() < 60_000)
    });
    assert!(!replica.log().contains("clock of the primary"));

    replica.clock().set("+1h");
    replica.until("an offset", |replica| {
        offset_ms(replica).filter(|offset| (-3_660_000..-3_540_000).contains(offset))
    });
    replica.until("a warning", |replica| {
        let log = replica.log();
        let mut lines = log.lines();
        lines.find(|line| {
            line.contains("the clock of the primary differs")
                && line.contains("\"WARN\"")
                && line.contains("\"behind\"")
        })?;
        Some(())
    });
    let metric = "talos_replication_clock_offset_milliseconds -3";
    replica.until("the metric", |replica| {
        replica.metrics().contains(metric).then_some(())
    });

    replica.clock().set("+0");
    replica.until("the end of it", |replica| {
        let log = replica.log();
        log.contains("the clock of the primary agrees")
            .then_some(())
    });
}
