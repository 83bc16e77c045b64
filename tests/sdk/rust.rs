//! `ory-client` for Rust: its paths, bodies and answers match the server's.

#![expect(
    clippy::unnecessary_wraps,
    reason = "every field of the client's models is an option"
)]

mod life;

use std::fmt::Debug;

use ory_client::apis::Error;
use ory_client::apis::api_keys_api as api;
use ory_client::apis::configuration::Configuration;
use ory_client::models::{
    AdminRevokeImportedApiKeyBody, AdminUpdateImportedApiKeyRequest,
    BatchCreateImportedApiKeysErrorCode, BatchCreateImportedApiKeysRequest,
    BatchVerifyApiKeysRequest, DeriveTokenRequest, ImportApiKeyRequest, IpRestriction,
    IssueApiKeyRequest, KeyStatus, RateLimitPolicy, RevocationReason, SelfRevokeApiKeyRequest,
    TokenAlgorithm, VerificationErrorCode, VerifyApiKeyRequest,
};
use serde_json::json;

use super::start;
use crate::harness::Driver;
use crate::harness::site::{Server, Site};

/// The client of `server`, without the proxies of the environment.
fn client(server: &Server) -> Configuration {
    Configuration {
        base_path: format!("http://{}", server.address),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        ..Configuration::default()
    }
}

/// Runs a scenario against a server of its own.
fn with_server<F: Future<Output = ()>>(driver: Driver, scenario: impl FnOnce(Configuration) -> F) {
    let site = Site::new(driver);
    let server = start(&site);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(scenario(client(&server)));
    server.stop();
}

fn texts(all: &[&str]) -> Option<Vec<String>> {
    Some(all.iter().map(ToString::to_string).collect())
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn policy(quota: &str) -> Option<Box<RateLimitPolicy>> {
    let (quota, window, unit) = (text(quota), text("60s"), text("requests"));
    Some(Box::new(RateLimitPolicy {
        quota,
        window,
        unit,
    }))
}

fn restriction() -> Option<Box<IpRestriction>> {
    let allowed_cidrs = texts(&["127.0.0.0/8", "::1/128"]);
    Some(Box::new(IpRestriction { allowed_cidrs }))
}

fn issue(name: &str) -> IssueApiKeyRequest {
    IssueApiKeyRequest {
        name: text(name),
        actor_id: text("actor"),
        ..IssueApiKeyRequest::new()
    }
}

fn import(raw_key: &str) -> ImportApiKeyRequest {
    ImportApiKeyRequest {
        raw_key: text(raw_key),
        name: text("imported"),
        actor_id: text("actor"),
        ..ImportApiKeyRequest::new()
    }
}

fn credential(credential: &str) -> VerifyApiKeyRequest {
    VerifyApiKeyRequest {
        credential: text(credential),
        expected_audiences: None,
    }
}

/// The status and the reason of a failed request.
fn failure<T: Debug, E: Debug>(result: Result<T, Error<E>>) -> (u16, String) {
    match result.unwrap_err() {
        Error::ResponseError(response) => {
            let body: serde_json::Value = serde_json::from_str(&response.content).unwrap();
            let reason = body["error"]["details"][0]["reason"]
                .as_str()
                .unwrap()
                .to_owned();
            (response.status.as_u16(), reason)
        }
        other => panic!("{other:?}"),
    }
}

/// `Ok` if the credential is valid, else the reason why not.
async fn verdict(client: &Configuration, of: &str) -> Result<String, VerificationErrorCode> {
    let answer = api::admin_verify_api_key(client, credential(of), None, None)
        .await
        .unwrap();
    if answer.is_valid.expect("is_valid") {
        Ok(answer.key_id.expect("a key id"))
    } else {
        Err(answer.error_code.expect("a code"))
    }
}

both_drivers! {
    fn issued_keys(driver: Driver) {
        with_server(driver, life::issued_keys_live_and_end);
    }

    fn lists(driver: Driver) {
        with_server(driver, lists_are_read_page_by_page);
    }

    fn imported_keys(driver: Driver) {
        with_server(driver, imported_keys_live_and_end);
    }

    fn batches(driver: Driver) {
        with_server(driver, keys_are_imported_and_verified_in_batches);
    }
}

async fn lists_are_read_page_by_page(client: Configuration) {
    for n in 0..5 {
        api::admin_issue_api_key(&client, issue(&format!("key {n}")))
            .await
            .unwrap();
        api::admin_import_api_key(&client, import(&format!("raw {n}")))
            .await
            .unwrap();
    }
    let filter = Some("actor_id=\"actor\" AND status=KEY_STATUS_ACTIVE");
    let (mut names, mut token, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let page = api::admin_list_issued_api_keys(&client, Some(2), token.as_deref(), filter)
            .await
            .unwrap();
        names.extend(
            page.issued_api_keys
                .unwrap()
                .into_iter()
                .filter_map(|key| key.name),
        );
        pages += 1;
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    names.sort();
    assert_eq!(
        (pages, names),
        (3, (0..5).map(|n| format!("key {n}")).collect())
    );
    let (mut imported, mut token) = (0, None::<String>);
    loop {
        let page = api::admin_list_imported_api_keys(&client, Some(3), token.as_deref(), None)
            .await
            .unwrap();
        imported += page.imported_api_keys.unwrap().len();
        token = page.next_page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    assert_eq!(imported, 5);
    let foreign = failure(api::admin_list_issued_api_keys(&client, None, Some("x"), None).await);
    assert_eq!(foreign, (400, "BAD_REQUEST".to_owned()));
}

async fn imported_keys_live_and_end(client: Configuration) {
    let request = ImportApiKeyRequest {
        scopes: texts(&["read"]),
        metadata: Some(json!({"from": "elsewhere"})),
        rate_limit_policy: policy("7"),
        ip_restriction: restriction(),
        ttl: text("1h"),
        ..import("sk_one")
    };
    let key = api::admin_import_api_key(&client, request.clone())
        .await
        .unwrap();
    let key_id = key.key_id.clone().unwrap();
    assert_eq!(
        (&key.scopes, &key.metadata),
        (&request.scopes, &request.metadata)
    );
    assert_eq!(
        api::admin_get_imported_api_key(&client, &key_id)
            .await
            .unwrap(),
        key
    );
    assert_eq!(verdict(&client, "sk_one").await, Ok(key_id.clone()));
    let again = failure(api::admin_import_api_key(&client, request).await);
    assert_eq!(again, (409, "API_KEY_EXISTS".to_owned()));

    let changes = AdminUpdateImportedApiKeyRequest {
        name: text("renamed"),
        status: key.status,
        create_time: key.create_time.clone(),
        ..AdminUpdateImportedApiKeyRequest::new()
    };
    let updated = api::admin_update_imported_api_key(&client, &key_id, changes, None)
        .await
        .unwrap();
    assert_eq!(
        (updated.name, updated.scopes),
        (text("renamed"), key.scopes)
    );

    let revocation = AdminRevokeImportedApiKeyBody {
        reason: Some(RevocationReason::RevocationReasonKeyCompromise),
        description: None,
    };
    api::admin_revoke_imported_api_key(&client, &key_id, revocation)
        .await
        .unwrap();
    assert_eq!(
        verdict(&client, "sk_one").await,
        Err(VerificationErrorCode::VerificationErrorRevoked)
    );
    api::admin_delete_imported_api_key(&client, &key_id)
        .await
        .unwrap();
    assert_eq!(
        verdict(&client, "sk_one").await,
        Err(VerificationErrorCode::VerificationErrorNotFound)
    );
    let gone = failure(api::admin_get_imported_api_key(&client, &key_id).await);
    assert_eq!(gone, (404, "API_KEY_NOT_FOUND".to_owned()));

    let issued = api::admin_issue_api_key(&client, issue("mine"))
        .await
        .unwrap();
    let held = SelfRevokeApiKeyRequest {
        credential: issued.secret.clone(),
        reason: Some(RevocationReason::RevocationReasonKeyCompromise),
    };
    api::revoke_api_key(&client, held.clone()).await.unwrap();
    api::revoke_api_key(&client, held).await.unwrap();
    let secret = issued.secret.unwrap();
    assert_eq!(
        verdict(&client, &secret).await,
        Err(VerificationErrorCode::VerificationErrorRevoked)
    );
    let unknown = SelfRevokeApiKeyRequest {
        credential: text("sk_nobody"),
        reason: None,
    };
    assert_eq!(
        failure(api::revoke_api_key(&client, unknown).await),
        (400, "UNKNOWN_CREDENTIAL".to_owned())
    );
}

async fn keys_are_imported_and_verified_in_batches(client: Configuration) {
    let request = BatchCreateImportedApiKeysRequest {
        requests: Some(vec![
            import("one"),
            import("one"),
            import("two"),
            ImportApiKeyRequest::new(),
        ]),
    };
    let answer = api::admin_batch_create_imported_api_keys(&client, request)
        .await
        .unwrap();
    assert_eq!(
        (answer.success_count, answer.failure_count),
        (Some(2), Some(2))
    );
    let results = answer.results.unwrap();
    let outcomes: Vec<_> = results
        .iter()
        .map(|result| (result.index, result.error_code))
        .collect();
    let (exists, invalid) = (
        BatchCreateImportedApiKeysErrorCode::BatchCreateImportedApiKeysErrorAlreadyExists,
        BatchCreateImportedApiKeysErrorCode::BatchCreateImportedApiKeysErrorInvalidArgument,
    );
    assert_eq!(
        outcomes,
        [
            (Some(0), None),
            (Some(1), Some(exists)),
            (Some(2), None),
            (Some(3), Some(invalid))
        ]
    );
    let key_id = results[0].imported_api_key.clone().unwrap().key_id;

    let secret = api::admin_issue_api_key(&client, issue("n"))
        .await
        .unwrap()
        .secret
        .unwrap();
    let requests = ["one", "nobody", &secret].map(credential).to_vec();
    let request = BatchVerifyApiKeysRequest {
        requests: Some(requests),
    };
    let answer = api::admin_batch_verify_api_keys(&client, request, None, Some("no-cache"))
        .await
        .unwrap();
    let results = answer.results.unwrap();
    let valid: Vec<_> = results
        .iter()
        .map(|result| result.is_valid.unwrap())
        .collect();
    assert_eq!(
        (valid, results[0].key_id.clone()),
        (vec![true, false, true], key_id)
    );
    let empty = BatchVerifyApiKeysRequest {
        requests: Some(Vec::new()),
    };
    let empty = failure(api::admin_batch_verify_api_keys(&client, empty, None, None).await);
    assert_eq!(empty, (400, "BAD_REQUEST".to_owned()));

    for algorithm in [
        TokenAlgorithm::TokenAlgorithmJwt,
        TokenAlgorithm::TokenAlgorithmMacaroon,
    ] {
        let request = DeriveTokenRequest {
            credential: text(&secret),
            algorithm: Some(algorithm),
            audiences: texts(&["orders"]),
            ttl: text("60s"),
            custom_claims: Some(json!({"team": "payments"})),
            scopes: None,
        };
        let answer = api::admin_derive_token(&client, request).await.unwrap();
        let token = *answer.token.unwrap();
        assert_eq!(token.audiences, texts(&["orders"]));
        assert_eq!(token.claims.unwrap()["team"], "payments");
        let mut request = credential(&token.token.unwrap());
        request.expected_audiences = token.audiences;
        let answer = api::admin_verify_api_key(&client, request, None, None).await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.is_valid, answer.expire_time),
            (Some(true), token.expire_time)
        );
    }

    let keys = api::get_jwks(&client).await.unwrap().jwks.unwrap().keys;
    assert_eq!(
        (keys.len(), keys[0].kid.as_str(), keys[0].kty.as_str()),
        (1, "first", "OKP")
    );
}
