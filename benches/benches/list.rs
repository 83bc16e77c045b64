//! Pages of 1000 keys of a tenant with many keys, rendered as answers of the API.
//!
//! Of the first tenant's keys, one in a thousand is revoked, one is expired, and one belongs to a
//! given actor. Of the second tenant's keys, all but one in a thousand are revoked, so the index of
//! active keys has lost their entries.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot measure stops"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use talos_api::list::{Asked, render_response};
use talos_api::page_token::PageTokenKeys;
use talos_benches::{Scratch, key, many_keys};
use talos_model::{
    Command, IssueKey, KeyKind, ListQuery, Outcome, Page, RevocationReason, RevokeKey, Secret,
    Selection, Status, TenantId, clock,
};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE: usize = 1000;
const MOSTLY_LIVE: TenantId = TenantId::SINGLE;
const MOSTLY_REVOKED: TenantId = TenantId(Uuid::from_u128(1));

/// Fills a tenant. One key in a thousand is expired. Keys whose number satisfies `is_revoked` are
/// revoked.
fn fill(scratch: &Scratch, tenant: TenantId, is_revoked: fn(usize) -> bool) {
    let issue = |n| {
        let life_ms = if n % PAGE == 1 { 1 } else { 30 * 86_400_000 };
        Command::Issue(IssueKey {
            tenant,
            ttl_ms: Some(life_ms),
            ..key(n)
        })
    };
    let issued = scratch
        .run((0..many_keys()).map(issue))
        .map(|outcome| match outcome {
            Outcome::Issued { record, .. } => record.key_id,
            other => panic!("not issued: {other:?}"),
        });
    let issued: Vec<_> = issued.collect();
    let revoked = issued
        .into_iter()
        .enumerate()
        .filter(|(n, _)| is_revoked(*n));
    let revoke = |(_, key_id)| {
        Command::Revoke(RevokeKey {
            tenant,
            key_id,
            reason: RevocationReason::KeyCompromise,
            description: String::new(),
        })
    };
    scratch.run(revoked.map(revoke)).for_each(drop);
}

fn query(tenant: TenantId, actor_id: Option<&str>, status: Option<Status>) -> ListQuery {
    ListQuery {
        selection: Selection {
            tenant,
            kind: KeyKind::Issued,
            actor_id: actor_id.map(str::to_owned),
            status,
        },
        after: Vec::new(),
        limit: PAGE,
        now: clock::now(),
    }
}

/// The positions at which the pages of a list begin.
fn beginnings(scratch: &Scratch, query: &ListQuery) -> Vec<Vec<u8>> {
    let mut beginnings = vec![Vec::new()];
    loop {
        let after = beginnings.last().cloned().unwrap_or_default();
        let page = scratch.list(ListQuery {
            after,
            ..query.clone()
        });
        match page.next {
            Some(next) => beginnings.push(next),
            None => return beginnings,
        }
    }
}

fn list(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    fill(&scratch, MOSTLY_LIVE, |n| n % PAGE == 0);
    fill(&scratch, MOSTLY_REVOKED, |n| n % PAGE != 0);
    let all = query(MOSTLY_LIVE, None, None);
    let beginnings = beginnings(&scratch, &all);
    let at = |index: usize| ListQuery {
        after: beginnings.get(index).cloned().unwrap_or_default(),
        ..all.clone()
    };
    let (active, revoked) = (Some(Status::Active), Some(Status::Revoked));
    let lists = [
        ("all, first page", at(0)),
        ("all, in the middle", at(beginnings.len() / 2)),
        ("all, last page", at(beginnings.len() - 1)),
        (
            "one actor of a thousand",
            query(MOSTLY_LIVE, Some("user_7"), None),
        ),
        ("active", query(MOSTLY_LIVE, None, active)),
        (
            "active, of one actor",
            query(MOSTLY_LIVE, Some("user_7"), active),
        ),
        (
            "revoked, one in a thousand",
            query(MOSTLY_LIVE, None, revoked),
        ),
        (
            "expired, one in a thousand",
            query(MOSTLY_LIVE, None, Some(Status::Expired)),
        ),
        (
            "active, one in a thousand",
            query(MOSTLY_REVOKED, None, active),
        ),
        ("revoked, nearly all", query(MOSTLY_REVOKED, None, revoked)),
    ];
    let keys = PageTokenKeys::new(&Secret::new("a secret".to_owned()), &[]);
    let mut group = c.benchmark_group("list");
    group.sample_size(20);
    for (name, query) in lists {
        let asked = Asked::from(&query);
        let page: Page = scratch.list(query.clone());
        assert!(!page.records.is_empty(), "{name}");
        eprintln!("{name}: {} keys", page.records.len());
        group.bench_function(name, |b| {
            b.iter(|| {
                let page = scratch.list(query.clone());
                render_response(&asked, &page, &keys, &[0; 24])
                    .expect("an answer")
                    .len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, list);
criterion_main!(benches);
