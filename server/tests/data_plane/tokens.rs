//! Admin tokens of the engine under test.

use std::sync::mpsc::channel;

use talos_credentials::admin_token;
use talos_engine::Engine;
use talos_model::{
    CreateAdminToken, RevokeAdminToken, Role, RotateAdminToken, TenantId, TokenDigest, TypedCommand,
};
use uuid::Uuid;

/// The text of a token; each number has its own.
pub(crate) fn token(number: u8) -> String {
    admin_token::text(&[number; admin_token::RANDOM_BYTES])
        .expose()
        .to_owned()
}

fn digest(number: u8) -> TokenDigest {
    admin_token::digest(token(number).as_bytes())
}

/// Creates the token with this number and returns its id.
pub(crate) fn create(
    engine: &Engine,
    number: u8,
    role: Role,
    tenant: Option<TenantId>,
    ttl_ms: Option<u64>,
) -> Uuid {
    let command = CreateAdminToken {
        name: format!("token {number}"),
        digest: digest(number),
        role,
        tenant,
        ttl_ms,
    };
    run(engine, command).id
}

/// Replaces the text of a token by the one with this number.
pub(crate) fn rotate(engine: &Engine, id: Uuid, number: u8) {
    let command = RotateAdminToken {
        id,
        digest: digest(number),
        ttl_ms: None,
    };
    run(engine, command);
}

/// Revokes a token.
pub(crate) fn revoke(engine: &Engine, id: Uuid) {
    run(engine, RevokeAdminToken { id });
}

/// Runs a command and waits for its outcome.
fn run<C: TypedCommand>(engine: &Engine, command: C) -> C::Outcome
where
    C::Outcome: Send + 'static,
{
    let (sender, receiver) = channel();
    engine.submit(command, move |outcome| sender.send(outcome).unwrap());
    receiver
        .recv()
        .unwrap()
        .unwrap_or_else(|error| panic!("{error:?}"))
}
