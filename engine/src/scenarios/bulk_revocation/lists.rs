//! Pages of keys while bulk revocations are in force.

use talos_model::{Selection, Status};

use super::*;
use crate::scenarios::lists::page;

fn query(status: Option<Status>, actor_id: Option<&str>) -> ListQuery {
    ListQuery {
        selection: Selection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
            actor_id: actor_id.map(str::to_owned),
            status,
        },
        after: Vec::new(),
        limit: 3,
        now: clock::now(),
    }
}

/// The ids of all pages, in order. Calls `then` between two pages.
fn ids(engine: &Engine, mut query: ListQuery, then: impl Fn()) -> Vec<KeyId> {
    let mut ids = Vec::new();
    loop {
        let page = page(engine, query.clone());
        assert!(page.records.len() <= query.limit);
        let is_wanted = |record: &Record| {
            let wanted = query.selection.status;
            wanted.is_none_or(|wanted| record.status(query.now) == wanted)
        };
        assert!(page.records.iter().all(is_wanted), "{:?}", page.records);
        ids.extend(page.records.iter().map(|record| record.key_id));
        match page.next {
            Some(next) => query.after = next,
            None => return ids,
        }
        then();
    }
}

fn sorted(mut ids: Vec<KeyId>) -> Vec<KeyId> {
    ids.sort_unstable();
    ids
}

/// A mix of active keys, keys that were revoked one by one, and keys that a bulk revocation
/// revokes.
fn mixed(engine: &Engine) -> [Vec<KeyId>; 2] {
    let (mut ended, mut active) = (Vec::new(), Vec::new());
    for n in 0..30 {
        let actor = ["leaver", "stayer"][n % 2];
        let (key_id, _) = made(engine, actor, "read");
        if n % 3 == 0 {
            revoke(engine, key_id).expect("a revoked key");
        }
        if n % 3 == 0 || actor == "leaver" {
            ended.push(key_id);
        } else {
            active.push(key_id);
        }
    }
    [sorted(ended), sorted(active)]
}

#[test]
fn keys_are_listed_as_they_are_now() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let [ended, active] = mixed(&engine);
    revoke_where(&engine, of_actor("leaver"));
    let listed = |status, actor| sorted(ids(&engine, query(status, actor), || ()));
    let shown = || {
        let all = listed(None, None);
        assert_eq!(all.len(), 30);
        assert_eq!(listed(Some(Status::Revoked), None), ended);
        assert_eq!(listed(Some(Status::Active), None), active);
        assert_eq!(listed(Some(Status::Expired), None), []);
        assert_eq!(listed(Some(Status::Active), Some("leaver")), []);
        assert_eq!(listed(Some(Status::Active), Some("stayer")), active);
        assert_eq!(listed(Some(Status::Revoked), Some("leaver")).len(), 15);
        let in_order = ids(&engine, query(Some(Status::Revoked), None), || ());
        let creations = in_order.into_iter().map(|key_id| {
            let record = get(&engine, key_id).expect("a key");
            (record.create_time, key_id)
        });
        assert!(creations.is_sorted(), "in the order of creation");
    };
    shown();
    engine.finish_catch_up();
    shown();
}

/// A page token stays valid when records are rewritten between two pages.
#[test]
fn pages_continue_when_records_are_rewritten_between_them() {
    for (status, count) in [(Status::Revoked, 20), (Status::Active, 10)] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = paused(scratch.path());
        mixed(&engine);
        revoke_where(&engine, of_actor("leaver"));
        let found = ids(&engine, query(Some(status), None), || {
            engine.finish_catch_up();
        });
        assert_eq!(found.len(), count, "{status:?}");
        assert_eq!(sorted(found.clone()).len(), count);
    }
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    mixed(&engine);
    let revoked = query(Some(Status::Revoked), None);
    let then = || {
        if engine.bulk_revocations_in_force() == 0 {
            revoke_where(&engine, of_actor("nobody"));
        }
    };
    assert_eq!(
        ids(&engine, revoked, then).len(),
        10,
        "and the other way round"
    );
}

/// Revoked keys stand between active ones in the index, but leave no gaps in a page.
#[test]
fn a_page_is_as_full_as_it_can_be() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    for _ in 0..40 {
        made(&engine, "leaver", "read");
    }
    for _ in 0..3 {
        made(&engine, "stayer", "read");
    }
    revoke_where(&engine, of_actor("leaver"));
    let found = page(&engine, query(Some(Status::Active), None));
    assert_eq!(found.records.len(), 3);
}
