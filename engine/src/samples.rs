//! Sample records, request ids, bulk revocations and admin tokens for unit tests.

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, BulkRevocation, Epoch, KeyId, Matcher, Position, Record, RequestDigest, RequestId,
    Revocation, RevocationReason, Role, Sequence, TenantId, TokenDigest, Visibility,
};
use uuid::Uuid;

/// A key whose last change is `sequence`.
pub fn record(sequence: u64) -> Record {
    Record {
        tenant: TenantId::SINGLE,
        key_id: KeyId::Issued(Uuid::from_u128(sequence.into())),
        sequence: Sequence(sequence),
        name: "a key".to_owned(),
        actor_id: "actor".to_owned(),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        metadata: r#"{"team":"a"}"#.to_owned(),
        visibility: Visibility::Secret,
        prefix: Some("talos".to_owned()),
        create_time: UnixMillis(1000),
        update_time: UnixMillis(1000),
        expire_time: None,
        revocation: None,
        rate_limit: None,
        allowed_cidrs: Vec::new(),
    }
}

/// The id and the digest of a request.
pub fn request_id() -> RequestId {
    RequestId {
        id: "deploy-1".to_owned(),
        digest: RequestDigest::of_record(&record(5)),
    }
}

/// A bulk revocation at `sequence` of all keys that `matcher` matches.
pub fn bulk_revocation(sequence: u64, matcher: Matcher) -> BulkRevocation {
    BulkRevocation {
        id: Uuid::from_u128(u128::from(sequence) << 64),
        tenant: TenantId::SINGLE,
        position: Position {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
        },
        matcher,
        revocation: Revocation {
            reason: RevocationReason::KeyCompromise,
            description: String::new(),
            time: UnixMillis(5000),
        },
    }
}

/// An admin token of every tenant whose last change is `sequence`.
pub fn admin_token(sequence: u8) -> AdminToken {
    AdminToken {
        id: Uuid::from_u128(u128::from(sequence) << 64),
        name: format!("token-{sequence}"),
        digest: TokenDigest([sequence; 32]),
        role: Role::Read,
        tenant: None,
        create_time: UnixMillis(1000),
        rotate_time: UnixMillis(2000),
        expire_time: None,
        sequence: Sequence(sequence.into()),
    }
}
