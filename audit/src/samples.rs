//! Values for the tests of this crate.

use std::sync::Arc;

use talos_api::audit::{Entry, Event};
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Principal, Proof, Role, Secret, TenantId};
use uuid::Uuid;

use crate::chain::{ChainKeys, Link};
use crate::line::{self, Content, Damage};

pub(crate) fn keys(secret: &str) -> ChainKeys {
    ChainKeys::new(&Secret::new(secret.to_owned()), &[])
}

pub(crate) fn entry(request_id: &str) -> Entry {
    Entry {
        event: Event::Request,
        time: UnixMillis(1_700_000_000_000),
        principal: Some(Arc::new(Principal {
            name: "ci".to_owned(),
            proof: Proof::Token,
            role: Role::Write,
            tenant: None,
        })),
        client: Some([192, 0, 2, 7].into()),
        request_id: request_id.to_owned(),
        operation: "adminRevokeIssuedApiKey",
        method: "POST",
        route: "/v2alpha1/admin/issuedApiKeys/{key_id}:revoke",
        tenant: TenantId::SINGLE,
        key_ids: vec![KeyId::Issued(Uuid::from_u128(7))],
        token_ids: Vec::new(),
        status: 200,
        reason: None,
        position: "1.42".parse().ok(),
        count: None,
        forwarded_to: None,
        credential: None,
    }
}

/// A log of `count` entries after `start`, one string a line, with line feeds.
pub(crate) fn lines(keys: &ChainKeys, start: Link, count: u64) -> (Vec<String>, Link) {
    let (mut lines, mut last) = (Vec::new(), start);
    for number in 0..count {
        let mut line = Vec::new();
        let entry = entry(&format!("r-{number}"));
        last = line::append(
            &mut line,
            &Content::Entry(&entry),
            "node-a",
            UnixMillis(0),
            Damage::default(),
            last,
            keys.current(),
        )
        .unwrap();
        lines.push(String::from_utf8(line).unwrap());
    }
    (lines, last)
}
