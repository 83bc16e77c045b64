//! Lists of keys: `GET …/issuedApiKeys` and `GET …/importedApiKeys`.

use std::iter::repeat;

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, ListQuery, Page, Selection, TenantId};

use crate::error::ApiError;
use crate::filter::{self, Filter};
use crate::form::Form;
use crate::key::{ImportedApiKey, IssuedApiKey, Resource};
use crate::page_token::{Nonce, PageTokenKeys};
use crate::query::{self, Parameter};
use crate::{limits, render};

const PAGE_SIZE: Parameter = Parameter::int32(
    "page_size",
    0,
    i32::MAX,
    "The keys of a page: 50 when it is unset or 0, at most 1000.",
);
const PAGE_TOKEN: Parameter = Parameter::text(
    "page_token",
    "Where the page begins: the `next_page_token` of the page before.",
);
const FILTER: Parameter = Parameter::text(
    "filter",
    "Which keys are wanted, a part of AIP-160: `actor_id=\"…\"` and `status=KEY_STATUS_ACTIVE`, joined by `AND`.",
)
.form(Form::Filter);

/// What a request may say after the `?`.
pub(crate) const PARAMETERS: [Parameter; 3] = [PAGE_SIZE, PAGE_TOKEN, FILTER];

/// Parameters that others give to lists, and what to write here.
const OTHERS: [(&str, &str); 11] = [
    ("status", "filter=status=KEY_STATUS_ACTIVE"),
    ("state", "filter=status=KEY_STATUS_ACTIVE"),
    ("actor", "filter=actor_id=\"…\""),
    ("actor_id", "filter=actor_id=\"…\""),
    ("owner", "filter=actor_id=\"…\""),
    ("query", "filter"),
    ("limit", "page_size"),
    ("per_page", "page_size"),
    ("max_results", "page_size"),
    ("cursor", "page_token"),
    ("next_page_token", "page_token"),
];

/// The keys from which a list is taken.
#[derive(Clone, Copy, Debug)]
pub struct Collection {
    /// The tenant that owns them.
    pub tenant: TenantId,
    /// Their kind.
    pub kind: KeyKind,
}

/// Reads what followed the `?` of a request for keys of `collection`. A key's status is that at
/// `now`.
///
/// # Errors
/// 400, naming the parameter, when the request breaks the contract or its page token belongs to
/// another list.
pub fn parse_request(
    query: &str,
    collection: Collection,
    keys: &PageTokenKeys,
    now: UnixMillis,
) -> Result<ListQuery, ApiError> {
    query::refuse_unknown(query, &PARAMETERS, &OTHERS)?;
    let Filter { actor_id, status } =
        filter::parse(&query::parameter(query, &FILTER)?.unwrap_or_default())?;
    let selection = Selection {
        tenant: collection.tenant,
        kind: collection.kind,
        actor_id,
        status,
    };
    let after = match query::parameter(query, &PAGE_TOKEN)? {
        Some(token) => keys.open(&selection, &token)?,
        None => Vec::new(),
    };
    Ok(ListQuery {
        selection,
        after,
        limit: page_size(query)?,
        now,
    })
}

/// The size of the page: zero is the default, and larger sizes than the maximum are cut (AIP-158).
fn page_size(query: &str) -> Result<usize, ApiError> {
    let Some(text) = query::parameter(query, &PAGE_SIZE)? else {
        return Ok(limits::PAGE_SIZE_DEFAULT);
    };
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<i32>().ok().filter(|_| is_decimal) {
        Some(0) => Ok(limits::PAGE_SIZE_DEFAULT),
        Some(size) => Ok(usize::try_from(size).map_or(limits::PAGE_SIZE_MAX, |size| {
            size.min(limits::PAGE_SIZE_MAX)
        })),
        None => {
            let message = "must be a whole number from 0 to 2147483647";
            Err(ApiError::invalid_field(PAGE_SIZE.name, message))
        }
    }
}

/// The answer to `query`: the keys of `page`, and the token of the next page, which is empty on the
/// last one. Every answer needs a `nonce` of its own.
///
/// # Errors
/// 500 when the token cannot be sealed.
pub fn render_response(
    query: &Asked,
    page: &Page,
    keys: &PageTokenKeys,
    nonce: &Nonce,
) -> Result<Vec<u8>, ApiError> {
    let next_page_token = match &page.next {
        Some(after) => keys.seal(&query.selection, after, nonce)?,
        None => String::new(),
    };
    let resources = page
        .records
        .iter()
        .zip(page.last_used.iter().copied().chain(repeat(None)))
        .map(|(record, last_used)| Resource::new(record, query.now).last_used(last_used))
        .collect();
    Ok(match query.selection.kind {
        KeyKind::Issued => render::json(&IssuedKeys {
            issued_api_keys: resources,
            next_page_token,
        }),
        KeyKind::Imported => render::json(&ImportedKeys {
            imported_api_keys: resources,
            next_page_token,
        }),
    })
}

/// The part of a query that its answer needs.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which keys.
    pub selection: Selection,
    /// The time at which keys are active or expired.
    pub now: UnixMillis,
}

impl From<&ListQuery> for Asked {
    fn from(query: &ListQuery) -> Self {
        Self {
            selection: query.selection.clone(),
            now: query.now,
        }
    }
}

/// A page of issued keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListIssuedApiKeysResponse")]
pub(crate) struct IssuedKeys<'a> {
    /// The keys.
    #[schemars(with = "Vec<IssuedApiKey>")]
    issued_api_keys: Vec<Resource<'a>>,
    /// Where the next page begins; empty on the last page.
    next_page_token: String,
}

/// A page of imported keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListImportedApiKeysResponse")]
pub(crate) struct ImportedKeys<'a> {
    /// The keys.
    #[schemars(with = "Vec<ImportedApiKey>")]
    imported_api_keys: Vec<Resource<'a>>,
    /// Where the next page begins; empty on the last page.
    next_page_token: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use talos_model::{Secret, Status};

    use super::*;
    use crate::key::tests::{ID, bare};

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn keys() -> PageTokenKeys {
        PageTokenKeys::new(&Secret::new("a secret".to_owned()), &[])
    }

    fn parse(query: &str) -> Result<ListQuery, ApiError> {
        let issued = Collection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
        };
        parse_request(query, issued, &keys(), NOW)
    }

    #[test]
    fn page_sizes() {
        let limit = |text: &str| parse(&format!("page_size={text}")).map(|query| query.limit);
        let table = [
            ("", 50),
            ("0", 50),
            ("1", 1),
            ("1000", 1000),
            ("1001", 1000),
            ("2147483647", 1000),
        ];
        for (text, wanted) in table {
            assert_eq!(limit(text), Ok(wanted), "{text}");
        }
        assert_eq!(parse("").map(|query| query.limit), Ok(50));
        let long = "9".repeat(5000);
        for text in [
            "-1",
            "%2B1",
            "1.5",
            "x",
            "1e2",
            "%200",
            "2147483648",
            "%D9%A1",
            "%00",
            &long,
        ] {
            let error = limit(text).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(
                error.to_string().starts_with("page_size: "),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_filter_selects() {
        let query = "filter=actor_id%3D%22x%22+AND+status%3DKEY_STATUS_REVOKED";
        let selection = parse(query).expect("a query").selection;
        assert_eq!(selection.actor_id.as_deref(), Some("x"));
        assert_eq!(selection.status, Some(Status::Revoked));
        assert_eq!(parse("filter=x").expect_err("an error").status(), 400);
        assert_eq!(
            parse("filter=&filter=").expect_err("an error").status(),
            400
        );
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for (query, meant) in [
            (
                "status=KEY_STATUS_ACTIVE",
                "filter=status=KEY_STATUS_ACTIVE",
            ),
            ("page_size=5&actor_id=x", "filter=actor_id="),
            ("actorId=x", "filter=actor_id="),
            ("limit=10", "page_size"),
            ("nextPageToken=x", "page_token"),
            ("filters=x", "filter"),
            ("page=2", "page_size"),
        ] {
            let error = parse(query).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(
                error.to_string().contains(&format!("mean {meant}")),
                "{query}: {error}"
            );
        }
        let error = parse("order_by=name").expect_err("an error");
        assert!(
            error.to_string().starts_with("order_by: is unknown"),
            "{error}"
        );
        parse("pageSize=5&pageToken=&filter=").expect("a query");
    }

    #[test]
    fn a_page_names_the_next_one() {
        let render = |kind, next: Option<&[u8]>| -> Value {
            let asked = Asked {
                selection: Selection {
                    kind,
                    ..parse("").expect("a query").selection
                },
                now: NOW,
            };
            let page = Page {
                records: vec![bare()],
                next: next.map(<[u8]>::to_vec),
                last_used: vec![Some(UnixMillis(1_700_000_000_000))],
            };
            let body = render_response(&asked, &page, &keys(), &[3; 24]).expect("an answer");
            serde_json::from_slice(&body).expect("JSON")
        };
        let last = render(KeyKind::Imported, None);
        assert_eq!(last["imported_api_keys"][0]["key_id"], ID);
        let last_used = &last["imported_api_keys"][0]["last_used_time"];
        assert_eq!(last_used, "2023-11-14T22:13:20Z");
        assert_eq!(last["next_page_token"], json!(""));
        let first = render(KeyKind::Issued, Some(b"place"));
        assert_eq!(first["issued_api_keys"][0]["key_id"], ID);
        let token = first["next_page_token"].as_str().expect("a token");
        let query = parse(&format!("page_token={token}")).expect("a query");
        assert_eq!(query.after, b"place");
        let other = parse(&format!(
            "page_token={token}&filter=status=KEY_STATUS_ACTIVE"
        ));
        let error = other.expect_err("an error");
        assert!(error.to_string().starts_with("page_token: "), "{error}");
    }
}
