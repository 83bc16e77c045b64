//! Admin tokens: in force at once, for every reader, on every node.

mod nodes;
mod one_node;

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, AdminTokens, CreateAdminToken, RevokeAdminToken, Role, RotateAdminToken,
    TokenDigest, TypedCommand,
};
use uuid::Uuid;

use super::*;

/// The digest number `n`.
fn digest(n: u16) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    TokenDigest(bytes)
}

fn execute<C: TypedCommand>(engine: &Engine, command: C) -> Result<C::Outcome, CommandError> {
    let (sender, receiver) = channel();
    engine.submit(command, move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome")
}

fn creation(name: &str, n: u16) -> CreateAdminToken {
    CreateAdminToken {
        name: name.to_owned(),
        digest: digest(n),
        role: Role::Operate,
        tenant: None,
        ttl_ms: None,
    }
}

fn create(engine: &Engine, name: &str, n: u16) -> AdminToken {
    execute(engine, creation(name, n)).expect("an admin token")
}

fn rotate(engine: &Engine, id: Uuid, n: u16) -> AdminToken {
    let command = RotateAdminToken {
        id,
        digest: digest(n),
        ttl_ms: None,
    };
    execute(engine, command).expect("an admin token")
}

fn revoke(engine: &Engine, id: Uuid) -> AdminToken {
    execute(engine, RevokeAdminToken { id }).expect("an admin token")
}

fn holder(tokens: &AdminTokens, n: u16) -> Option<String> {
    let found = tokens.find(&digest(n), clock::now());
    found.map(|principal| principal.name.clone())
}

/// The name of the holder of token text number `n`.
fn found(engine: &Engine, n: u16) -> Option<String> {
    holder(&engine.admin_tokens(), n)
}

/// Whether the texts with these numbers are the only ones of 0 to 9 that are accepted.
#[track_caller]
fn assert_accepted(engine: &Engine, expected: &[u16]) {
    let accepted: Vec<_> = (0..10).filter(|n| found(engine, *n).is_some()).collect();
    assert_eq!(accepted, expected);
    let names: Vec<_> = engine.admin_tokens().all().to_vec();
    assert_eq!(names.len(), expected.len(), "{names:?}");
}
