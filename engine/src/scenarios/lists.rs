//! Pages of keys, by actor and by state.

use std::collections::BTreeSet;

use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, ListQuery, Page, Selection, Status};

use super::*;

pub(super) fn page(engine: &Engine, query: ListQuery) -> Page {
    let (sender, receiver) = channel();
    engine.list(query, move |page| {
        sender.send(page).expect("a receiver");
    });
    receiver.recv().expect("an answer").expect("a page")
}

/// The names of all keys of a selection, read in pages of at most `limit`.
fn names(engine: &Engine, selection: &Selection, limit: usize, now: UnixMillis) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), Vec::new());
    loop {
        let query = ListQuery {
            selection: selection.clone(),
            after,
            limit,
            now,
        };
        let page = page(engine, query);
        assert!(page.records.len() <= limit);
        names.extend(page.records.into_iter().map(|record| record.name));
        match page.next {
            Some(next) => after = next,
            None => return names,
        }
    }
}

fn selection(actor_id: Option<&str>, status: Option<Status>) -> Selection {
    Selection {
        tenant: TenantId::SINGLE,
        kind: KeyKind::Issued,
        actor_id: actor_id.map(str::to_owned),
        status,
    }
}

#[test]
fn every_selection_gives_exactly_its_keys_whatever_the_page_size() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let mut expected = BTreeSet::new();
    let mut latest = UnixMillis(0);
    for n in 0..30 {
        let (actor, state) = (["a", "b"][n % 2], ["active", "revoked", "expiring"][n % 3]);
        let name = format!("{actor}-{state}-{n}");
        let ttl_ms = match state {
            "expiring" => Some(1_000),
            _ => (n % 4 == 0).then_some(3_600_000),
        };
        let (record, _) = issue(
            &engine,
            IssueKey {
                actor_id: actor.to_owned(),
                ttl_ms,
                ..key(&name)
            },
        );
        latest = latest.max(record.create_time);
        if state == "revoked" {
            revoke(&engine, record.key_id).unwrap();
        }
        expected.insert(name);
    }
    let later = UnixMillis(latest.0 + 1_000);
    for limit in [1, 3, 7, 30, 1000] {
        for actor in [None, Some("a"), Some("b"), Some("nobody")] {
            for status in [
                None,
                Some(Status::Active),
                Some(Status::Revoked),
                Some(Status::Expired),
            ] {
                let of_actor = |name: &&String| {
                    actor.is_none_or(|actor| name.starts_with(&format!("{actor}-")))
                };
                let word = status.map(|status| match status {
                    Status::Active => "-active-",
                    Status::Revoked => "-revoked-",
                    Status::Expired => "-expiring-",
                });
                let wanted: BTreeSet<_> = expected
                    .iter()
                    .filter(of_actor)
                    .filter(|name| word.is_none_or(|word| name.contains(word)))
                    .cloned()
                    .collect();
                let found = names(&engine, &selection(actor, status), limit, later);
                assert_eq!(
                    found.len(),
                    wanted.len(),
                    "{actor:?} {status:?} {limit}: {found:?}"
                );
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
            }
        }
    }
    assert!(
        names(
            &engine,
            &selection(None, Some(Status::Expired)),
            9,
            UnixMillis(0)
        )
        .is_empty()
    );
    let imported = Selection {
        kind: KeyKind::Imported,
        ..selection(None, None)
    };
    assert!(names(&engine, &imported, 9, later).is_empty());
    let elsewhere = Selection {
        tenant: TenantId(uuid::Uuid::from_u128(1)),
        ..selection(None, None)
    };
    assert!(names(&engine, &elsewhere, 9, later).is_empty());
}

#[test]
fn keys_come_in_the_order_in_which_they_were_made() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let made: Vec<_> = (0..5)
        .map(|n| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            issue_new(&engine, &n.to_string());
            n.to_string()
        })
        .collect();
    assert_eq!(
        names(&engine, &selection(None, None), 2, clock::now()),
        made
    );
}

#[test]
fn large_records_make_short_pages() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let metadata = format!("{{\"a\":\"{}\"}}", "x".repeat(60_000));
    for n in 0..100 {
        let metadata = metadata.clone();
        issue(
            &engine,
            IssueKey {
                metadata,
                ..key(&n.to_string())
            },
        );
    }
    let query = ListQuery {
        selection: selection(None, None),
        after: Vec::new(),
        limit: 1000,
        now: clock::now(),
    };
    let first = page(&engine, query);
    assert!(
        (60..80).contains(&first.records.len()),
        "{}",
        first.records.len()
    );
    assert!(first.next.is_some());
    assert_eq!(
        names(&engine, &selection(None, None), 1000, clock::now()).len(),
        100
    );
}
