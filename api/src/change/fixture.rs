//! A change and an admin token for tests.

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, Change, Event, RequestDigest, RequestId, Role, Sequence, Subject, TenantId,
    TokenDigest,
};
use uuid::Uuid;

use crate::key::tests::full;

pub(super) fn change(event: Event) -> Change {
    Change {
        position: "2.42".parse().expect("a position"),
        time: UnixMillis(1_700_000_000_000),
        event,
        request_id: Some(RequestId {
            id: "r-1".to_owned(),
            digest: RequestDigest::default(),
        }),
        author: None,
        signed_by: None,
        subject: Subject::Key(full()),
    }
}

pub(super) fn admin_token(tenant: Option<TenantId>) -> AdminToken {
    AdminToken {
        id: Uuid::from_u128(6),
        name: "ci".to_owned(),
        digest: TokenDigest([0xab; 32]),
        role: Role::Operate,
        tenant,
        create_time: UnixMillis(0),
        rotate_time: UnixMillis(0),
        expire_time: None,
        sequence: Sequence(42),
    }
}
