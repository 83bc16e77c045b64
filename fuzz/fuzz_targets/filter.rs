//! Filters of lists: filters of the grammar parse to their meaning, any other accepted text has one
//! meaning, and an error names a place in the text.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use talos_api::list::{self, Collection};
use talos_api::page_token::PageTokenKeys;
use talos_fuzz::escaped;
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, Secret, Selection, Status, TenantId};

static KEYS: LazyLock<PageTokenKeys> =
    LazyLock::new(|| PageTokenKeys::new(&Secret::new("a secret".to_owned()), &[]));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a str,
    actor_id: Option<&'a str>,
    status: Option<u8>,
    status_first: bool,
    spaces: [u8; 7],
}

fuzz_target!(|input: Input<'_>| {
    match read(input.raw) {
        Ok((actor_id, status)) => {
            let again = read(&written(actor_id.as_deref(), status, false, [" "; 7]));
            assert_eq!(again, Ok((actor_id, status)), "{}", input.raw);
        }
        Err(error) => names_a_place(&error, input.raw),
    }

    let status = input
        .status
        .map(|n| [Status::Active, Status::Revoked, Status::Expired][usize::from(n) % 3]);
    let spaces = input
        .spaces
        .map(|n| ["", " ", "\t", "\r\n", "   "][usize::from(n) % 5]);
    let text = written(input.actor_id, status, input.status_first, spaces);
    let fits = |text: &str| (1..=255).contains(&text.chars().count());
    let read = read(&text);
    if input.actor_id.is_none_or(fits) {
        assert_eq!(
            read,
            Ok((input.actor_id.map(str::to_owned), status)),
            "{text}"
        );
    } else {
        names_a_place(&read.expect_err("an error"), &text);
    }
});

type Conditions = (Option<String>, Option<Status>);

fn read(filter: &str) -> Result<Conditions, String> {
    let query = format!("filter={}", escaped(filter));
    let imported = Collection {
        tenant: TenantId::SINGLE,
        kind: KeyKind::Imported,
    };
    match list::parse_request(&query, imported, &KEYS, UnixMillis(7)) {
        Ok(query) => {
            let Selection {
                tenant,
                kind,
                actor_id,
                status,
            } = query.selection;
            assert_eq!(
                (tenant, kind, query.after),
                (TenantId::SINGLE, KeyKind::Imported, Vec::new())
            );
            Ok((actor_id, status))
        }
        Err(error) => {
            assert_eq!(error.status(), 400);
            Err(error.to_string())
        }
    }
}

/// Writes these conditions as a filter, with `spaces` around each part. There is at least one space
/// on both sides of `AND`.
fn written(
    actor_id: Option<&str>,
    status: Option<Status>,
    status_first: bool,
    spaces: [&str; 7],
) -> String {
    let [before, equals, value, left, right, after, more] = spaces;
    let actor_id = actor_id.map(|text| {
        let quoted = text.replace('\\', r"\\").replace('"', "\\\"");
        format!("actor_id{equals}={value}\"{quoted}\"")
    });
    let status = status.map(|status| {
        let name = match status {
            Status::Active => "ACTIVE",
            Status::Revoked => "REVOKED",
            Status::Expired => "EXPIRED",
        };
        format!("status{more}={equals}KEY_STATUS_{name}")
    });
    let mut conditions: Vec<String> = actor_id.into_iter().chain(status).collect();
    if status_first {
        conditions.reverse();
    }
    format!(
        "{before}{}{after}",
        conditions.join(&format!(" {left}AND{right} "))
    )
}

/// `filter: expected … at character N`, where N is the number of a character, or the end.
fn names_a_place(error: &str, filter: &str) {
    assert!(error.starts_with("filter: expected "), "{filter}: {error}");
    let (_, place) = error.rsplit_once(" at character ").expect("a place");
    let place: usize = place.parse().expect("a number");
    assert!(
        (1..=filter.chars().count() + 1).contains(&place),
        "{filter}: {error}"
    );
}
