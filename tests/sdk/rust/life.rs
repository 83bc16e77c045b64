//! The life of an issued key, from its issue to its revocation.

use ory_client::models::{
    AdminRevokeIssuedApiKeyBody, AdminRotateIssuedApiKeyBody, AdminUpdateIssuedApiKeyRequest,
    KeyVisibility,
};

use super::*;

pub(super) async fn issued_keys_live_and_end(client: Configuration) {
    let request = IssueApiKeyRequest {
        scopes: texts(&["read:*", "write:*"]),
        metadata: Some(json!({"team": "payments", "n": [1.5, null]})),
        ttl: text("168h"),
        visibility: Some(KeyVisibility::KeyVisibilitySecret),
        rate_limit_policy: policy("100"),
        ip_restriction: restriction(),
        request_id: text("once"),
        ..issue("first")
    };
    let issued = api::admin_issue_api_key(&client, request.clone())
        .await
        .unwrap();
    let (key, secret) = (*issued.issued_api_key.unwrap(), issued.secret.unwrap());
    let key_id = key.key_id.clone().unwrap();
    assert_eq!(
        (&key.name, &key.scopes, &key.metadata),
        (&request.name, &request.scopes, &request.metadata)
    );
    assert_eq!(
        (&key.rate_limit_policy, &key.ip_restriction),
        (&policy("100"), &restriction())
    );
    assert_eq!(
        (key.status, key.visibility),
        (Some(KeyStatus::KeyStatusActive), request.visibility)
    );
    assert!(key.create_time.is_some() && key.update_time.is_some() && key.expire_time.is_some());
    let replay = api::admin_issue_api_key(&client, request).await.unwrap();
    assert_eq!(
        (replay.issued_api_key.unwrap().key_id, replay.secret),
        (Some(key_id.clone()), None)
    );
    assert_eq!(
        api::admin_get_issued_api_key(&client, &key_id)
            .await
            .unwrap(),
        key
    );

    let answer = api::admin_verify_api_key(&client, credential(&secret), Some("no-cache"), None)
        .await
        .unwrap();
    assert_eq!(
        (answer.is_valid, answer.key_id, answer.scopes),
        (Some(true), Some(key_id.clone()), key.scopes.clone())
    );
    assert_eq!(
        (answer.metadata, answer.rate_limit_policy),
        (key.metadata.clone(), policy("100"))
    );
    assert_eq!(
        (answer.status, answer.expire_time),
        (key.status, key.expire_time.clone())
    );

    let named = AdminUpdateIssuedApiKeyRequest {
        name: text("second"),
        ..AdminUpdateIssuedApiKeyRequest::new()
    };
    let updated = api::admin_update_issued_api_key(&client, &key_id, named.clone(), None)
        .await
        .unwrap();
    assert_eq!(
        (&updated.name, &updated.scopes),
        (&text("second"), &key.scopes)
    );
    let mask = Some("name,scopes,rate_limit_policy");
    let updated = api::admin_update_issued_api_key(&client, &key_id, named, mask)
        .await
        .unwrap();
    assert_eq!(
        (updated.scopes, updated.rate_limit_policy),
        (Some(Vec::new()), None)
    );
    assert_eq!(updated.metadata, key.metadata);

    issued_keys_are_replaced_and_revoked(&client, &key_id, &secret).await;
}

/// The second half of the life of a key.
async fn issued_keys_are_replaced_and_revoked(client: &Configuration, key_id: &str, secret: &str) {
    let rotate = AdminRotateIssuedApiKeyBody {
        name: text("third"),
        ..AdminRotateIssuedApiKeyBody::new()
    };
    let rotated = api::admin_rotate_issued_api_key(client, key_id, rotate)
        .await
        .unwrap();
    let (new, old) = (
        rotated.issued_api_key.unwrap(),
        rotated.old_issued_api_key.unwrap(),
    );
    assert_eq!((new.name, old.key_id), (text("third"), text(key_id)));
    assert_eq!(
        old.revocation_reason,
        Some(RevocationReason::RevocationReasonSuperseded)
    );
    let (new_id, new_secret) = (new.key_id.unwrap(), rotated.secret.unwrap());
    assert_eq!(
        verdict(client, secret).await,
        Err(VerificationErrorCode::VerificationErrorRevoked)
    );
    assert_eq!(verdict(client, &new_secret).await, Ok(new_id.clone()));

    let revocation = AdminRevokeIssuedApiKeyBody {
        reason: Some(RevocationReason::RevocationReasonPrivilegeWithdrawn),
        description: text("left"),
    };
    api::admin_revoke_issued_api_key(client, &new_id, revocation.clone())
        .await
        .unwrap();
    let revoked = api::admin_get_issued_api_key(client, &new_id)
        .await
        .unwrap();
    assert_eq!(
        (revoked.revocation_description, revoked.status),
        (text("left"), Some(KeyStatus::KeyStatusRevoked))
    );
    assert_eq!(
        verdict(client, &new_secret).await,
        Err(VerificationErrorCode::VerificationErrorRevoked)
    );

    let of_nobody = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
    let not_found = (404, "API_KEY_NOT_FOUND".to_owned());
    assert_eq!(
        failure(api::admin_get_issued_api_key(client, of_nobody).await),
        not_found
    );
    assert_eq!(
        failure(api::admin_get_issued_api_key(client, "a/b").await),
        not_found
    );
    let again = failure(api::admin_revoke_issued_api_key(client, &new_id, revocation).await);
    assert_eq!(again, (409, "FAILED_PRECONDITION".to_owned()));
    let nameless = failure(api::admin_issue_api_key(client, IssueApiKeyRequest::new()).await);
    assert_eq!(nameless, (400, "BAD_REQUEST".to_owned()));
}
