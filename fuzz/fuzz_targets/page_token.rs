//! Page tokens: each is accepted for its own list and filter only. Altered tokens and other texts
//! are rejected.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use talos_api::list::{self, Asked, Collection};
use talos_api::page_token::PageTokenKeys;
use talos_fuzz::edits::{Edit, edited};
use talos_fuzz::escaped;
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, Page, Secret, Selection, Status, TenantId};
use uuid::Uuid;

const NOW: UnixMillis = UnixMillis(1_750_000_000_000);
/// The longest index position whose token is still decoded.
const PLACE_BYTES_MAX: usize = 512;

static OLD: LazyLock<PageTokenKeys> = LazyLock::new(|| keys("old", &[]));
static NEW: LazyLock<PageTokenKeys> = LazyLock::new(|| keys("new", &["old"]));
static FOREIGN: LazyLock<PageTokenKeys> = LazyLock::new(|| keys("foreign", &[]));

fn keys(current: &str, retired: &[&str]) -> PageTokenKeys {
    let secret = |text: &str| Secret::new(text.to_owned());
    let retired: Vec<_> = retired.iter().map(|text| secret(text)).collect();
    PageTokenKeys::new(&secret(current), &retired)
}

#[derive(Arbitrary, Clone, Debug, PartialEq)]
struct List<'a> {
    tenant: u8,
    imported: bool,
    actor_id: Option<&'a str>,
    status: Option<u8>,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a str,
    list: List<'a>,
    other: List<'a>,
    place: &'a [u8],
    nonce: [u8; 24],
    edits: Vec<Edit>,
}

fuzz_target!(|input: Input<'_>| {
    let (Some(list), Some(other)) = (selection(&input.list), selection(&input.other)) else {
        return;
    };
    assert!(
        input.raw.is_empty() || open(&NEW, &list, input.raw).is_none(),
        "{}",
        input.raw
    );

    let place = &input.place[..input.place.len().min(PLACE_BYTES_MAX)];
    let token = sealed(&OLD, &list, place, &input.nonce);
    for keys in [&*OLD, &*NEW] {
        assert_eq!(open(keys, &list, &token).as_deref(), Some(place));
        let elsewhere = open(keys, &other, &token);
        assert_eq!(elsewhere.is_some(), list == other, "{list:?} {other:?}");
    }
    assert_eq!(open(&FOREIGN, &list, &token), None);

    let altered = edited(token.as_bytes(), &input.edits);
    if let Ok(altered) = std::str::from_utf8(&altered)
        && altered != token
        && !altered.is_empty()
    {
        assert_eq!(open(&NEW, &list, altered), None, "{token} {altered}");
    }
});

/// `None` if no filter can name the actor.
fn selection(list: &List<'_>) -> Option<Selection> {
    let actor = list.actor_id;
    if actor.is_some_and(|text| !(1..=255).contains(&text.chars().count())) {
        return None;
    }
    Some(Selection {
        tenant: TenantId(Uuid::from_u128(u128::from(list.tenant % 2))),
        kind: if list.imported {
            KeyKind::Imported
        } else {
            KeyKind::Issued
        },
        actor_id: actor.map(str::to_owned),
        status: list
            .status
            .map(|n| [Status::Active, Status::Revoked, Status::Expired][usize::from(n) % 3]),
    })
}

fn sealed(keys: &PageTokenKeys, list: &Selection, place: &[u8], nonce: &[u8; 24]) -> String {
    let asked = Asked {
        selection: list.clone(),
        now: NOW,
    };
    let page = Page {
        records: Vec::new(),
        next: Some(place.to_vec()),
        last_used: Vec::new(),
    };
    let body = list::render_response(&asked, &page, keys, nonce).expect("an answer");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    body["next_page_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

/// The position at which the page begins. `None` if the token is rejected: always with a 400 that
/// names it.
fn open(keys: &PageTokenKeys, list: &Selection, token: &str) -> Option<Vec<u8>> {
    let mut conditions = Vec::new();
    if let Some(actor_id) = &list.actor_id {
        let quoted = actor_id.replace('\\', r"\\").replace('"', "\\\"");
        conditions.push(format!("actor_id=\"{quoted}\""));
    }
    if let Some(status) = list.status {
        let name = match status {
            Status::Active => "ACTIVE",
            Status::Revoked => "REVOKED",
            Status::Expired => "EXPIRED",
        };
        conditions.push(format!("status=KEY_STATUS_{name}"));
    }
    let filter = escaped(&conditions.join(" AND "));
    let query = format!("page_token={}&filter={filter}", escaped(token));
    let collection = Collection {
        tenant: list.tenant,
        kind: list.kind,
    };
    match list::parse_request(&query, collection, keys, NOW) {
        Ok(query) => {
            assert_eq!(query.selection, *list);
            Some(query.after)
        }
        Err(error) => {
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with("page_token: "), "{error}");
            None
        }
    }
}
