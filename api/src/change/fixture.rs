//! A change for tests.

use talos_model::clock::UnixMillis;
use talos_model::{Change, Event, Subject};

use crate::key::tests::full;

pub(super) fn change(event: Event) -> Change {
    Change {
        position: "2.42".parse().expect("a position"),
        time: UnixMillis(1_700_000_000_000),
        event,
        request_id: Some("r-1".to_owned()),
        author: None,
        subject: Subject::Key(full()),
    }
}
