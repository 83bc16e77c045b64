//! Importing many keys: `POST /v2alpha1/admin/importedApiKeys:batchCreate`. Each key is accepted or
//! refused for itself.

mod outcome;

use schemars::JsonSchema;
use serde::Serialize;
use talos_credentials::Keyring;
use talos_model::clock::UnixMillis;
use talos_model::{ImportKey, Record, TenantId};

use crate::error::ApiError;
use crate::json::{self, Field, Kind, Object};
use crate::key::{ImportedApiKey, Resource};
use crate::names::Named;
use crate::{import, limits, render};

pub use outcome::ItemOutcome;

use outcome::BatchCreateImportedApiKeysErrorCode;

const REQUESTS: Field = Field::new(
    "requests",
    Kind::Objects {
        of: &import::REQUEST,
        entries_max: limits::BATCH_IMPORT_KEYS,
        needs_one: true,
    },
    "The keys, at least one. Each is accepted or refused for itself.",
)
.required();

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "BatchCreateImportedApiKeysRequest",
    about: "Keys of another system to import.",
    fields: &[REQUESTS],
    rules: &[],
};

/// Reads the request into commands of `tenant`, one per key and in order; a key that breaks the
/// contract has its error instead. The arguments are those of [`import::parse_request`].
///
/// # Errors
/// 400 when the body is no list of 1 to [`limits::BATCH_IMPORT_KEYS`] objects.
pub fn parse_request(
    body: &[u8],
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
    keyring: &Keyring,
) -> Result<Vec<Result<ImportKey, ApiError>>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let items = fields.objects(REQUESTS)?;
    if items.is_empty() || items.len() > limits::BATCH_IMPORT_KEYS {
        let message = format!("must have 1 to {} entries", limits::BATCH_IMPORT_KEYS);
        return Err(fields
            .invalid(REQUESTS, &message)
            .limit(limits::BATCH_IMPORT_KEYS));
    }
    Ok(items
        .into_iter()
        .map(|item| import::parse_fields(&mut item?, tenant, default_ttl_ms, keyring))
        .collect())
}

/// The answer: the outcome of each key, in the order of the request.
///
/// # Errors
/// If no key was imported, the most frequent of their errors; of equally frequent ones the first.
pub fn render_response(
    results: &[Result<Record, ApiError>],
    now: UnixMillis,
) -> Result<Vec<u8>, ApiError> {
    let success_count = results.iter().filter(|result| result.is_ok()).count();
    if success_count == 0 {
        return Err(dominant(results));
    }
    let items = results.iter().enumerate().map(|(index, result)| Item {
        index,
        imported_api_key: result
            .as_ref()
            .ok()
            .map(|record| Resource::new(record, now)),
        error_code: ItemOutcome::of(result).error().map(Named),
        error_message: result.as_ref().err().map(ToString::to_string),
    });
    Ok(render::json(&Batch {
        results: items.collect(),
        success_count,
        failure_count: results.len() - success_count,
    }))
}

/// The most frequent error; of equally frequent ones the first.
fn dominant(results: &[Result<Record, ApiError>]) -> ApiError {
    let errors = || results.iter().filter_map(|result| result.as_ref().err());
    let frequency = |error: &ApiError| {
        errors()
            .filter(|other| other.reason() == error.reason())
            .count()
    };
    let mut most: Option<(usize, &ApiError)> = None;
    for (index, error) in errors().enumerate() {
        // Counted once per reason and not once per key: there are few reasons.
        if errors()
            .take(index)
            .any(|earlier| earlier.reason() == error.reason())
        {
            continue;
        }
        let count = frequency(error);
        if most.is_none_or(|(highest, _)| count > highest) {
            most = Some((count, error));
        }
    }
    most.map_or_else(ApiError::internal, |(count, error)| {
        let message = format!(
            "none of {} keys was imported, {count} of them for this reason: {error}",
            results.len()
        );
        error.clone().with_message(message)
    })
}

/// The outcome of each key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchCreateImportedApiKeysResponse")]
pub(crate) struct Batch<'a> {
    /// In the order of the request.
    results: Vec<Item<'a>>,
    /// How many keys were imported; at least one.
    #[schemars(with = "i32")]
    success_count: usize,
    /// How many keys were not imported.
    #[schemars(with = "i32")]
    failure_count: usize,
}

/// The outcome of one key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchCreateImportedApiKeysResult")]
struct Item<'a> {
    /// The place of the key in the request, from 0.
    #[schemars(with = "i32")]
    index: usize,
    /// The key, when it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ImportedApiKey>")]
    imported_api_key: Option<Resource<'a>>,
    /// Why the key was not imported, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<Named<BatchCreateImportedApiKeysErrorCode>>,
    /// Why the key was not imported, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::keyring;
    use crate::key::tests::{ID, bare};
    use serde_json::{Value, json};

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn parse(body: &Value) -> Result<Vec<Result<ImportKey, ApiError>>, ApiError> {
        parse_request(
            body.to_string().as_bytes(),
            TenantId::SINGLE,
            None,
            &keyring(),
        )
    }

    #[test]
    fn each_key_is_read_for_itself() {
        let items = parse(&json!({"requests": [
            {"raw_key": "x", "name": "n", "actor_id": "a"},
            {"raw_key": "y", "actor_id": "a"},
            {"raw_key": "mc_v1_y", "name": "n", "actor_id": "a"},
            {},
            7,
            {"raw_key": "z", "name": "n", "actor_id": "a", "rate_limit_policy": {}, "rateLimitPolicy": {}},
        ]}))
        .expect("a batch");
        let messages: Vec<_> = items
            .iter()
            .map(|item| item.as_ref().err().map(ToString::to_string))
            .collect();
        assert_eq!(
            messages,
            [
                None,
                Some("requests[1].name: is required and must not be empty".to_owned()),
                Some(
                    "requests[2].raw_key has the shape of a derived token of this server and cannot be imported"
                        .to_owned()
                ),
                Some("requests[3].raw_key: is required and must not be empty".to_owned()),
                Some("requests[4]: must be an object, not a number".to_owned()),
                Some(
                    "requests[5]: has a field in both of its spellings; use one of them".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_batch_is_a_list_of_1_to_1000_objects() {
        let list = |keys: usize| json!({"requests": vec![json!({}); keys]});
        assert_eq!(
            parse(&list(limits::BATCH_IMPORT_KEYS)).map(|items| items.len()),
            Ok(1000)
        );
        for body in [
            list(0),
            list(limits::BATCH_IMPORT_KEYS + 1),
            json!({}),
            json!({"requests": null}),
            json!({"requests": {}}),
            json!([{}]),
        ] {
            assert_eq!(parse(&body).expect_err("an error").status(), 400, "{body}");
        }
    }

    #[test]
    fn the_answer_has_an_entry_per_key() {
        let results = [
            Err(ApiError::api_key_exists()),
            Ok(bare()),
            Err(ApiError::invalid_field("name", "is wrong")),
        ];
        let body = render_response(&results, NOW).expect("an answer");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            (&answer["success_count"], &answer["failure_count"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(
            answer["results"][0],
            json!({
                "index": 0, "error_code": "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS",
                "error_message": "the API key exists already",
            })
        );
        let imported = &answer["results"][1];
        assert_eq!(
            (&imported["index"], &imported["imported_api_key"]["key_id"]),
            (&json!(1), &json!(ID))
        );
        assert_eq!(imported.as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(answer["results"][2]["error_message"], "name: is wrong");
    }

    #[test]
    fn a_misspelt_restriction_fails_its_own_key() {
        let item = |name: &str| json!({"raw_key": "k", "name": "n", "actor_id": "a", name: {"allowed_cidrs": ["10.0.0.0/8"]}});
        let body =
            json!({"requests": [item("ip_restrictions"), item("ip_restriction"), item("other")]});
        let body = body.to_string();
        let keys = parse_request(body.as_bytes(), TenantId::SINGLE, None, &keyring());
        let keys = keys.expect("a batch");
        assert_eq!(
            keys.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [false, true, true]
        );
        let error = keys.into_iter().find_map(Result::err).expect("an error");
        assert!(
            error
                .to_string()
                .starts_with("requests[0].ip_restriction: "),
            "{error}"
        );
    }

    #[test]
    fn when_all_fail_the_most_frequent_error_is_the_answer() {
        let (exists, quota) = (
            ApiError::api_key_exists(),
            ApiError::api_key_quota_exceeded(7),
        );
        let invalid = |field| ApiError::invalid_field(field, "is wrong");
        let table = [
            (vec![exists.clone()], 409, "the API key exists already"),
            (
                vec![exists.clone(), quota.clone()],
                409,
                "the API key exists already",
            ),
            (
                vec![exists.clone(), invalid("a"), invalid("b")],
                400,
                "a: is wrong",
            ),
            (
                vec![exists, quota.clone(), quota],
                402,
                "the quota of API keys",
            ),
            (vec![ApiError::internal()], 500, "an internal error"),
        ];
        for (errors, status, text) in table {
            let results: Vec<_> = errors.into_iter().map(Err).collect();
            let error = render_response(&results, NOW).expect_err("an error");
            assert_eq!(error.status(), status);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
