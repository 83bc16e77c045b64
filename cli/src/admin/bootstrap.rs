//! `talos admin token bootstrap`: creates an admin token in the database itself.
//!
//! Guarantees: nothing is created in a database that a server uses, that another user owns, or that
//! is a replica's. The text is written only when the token is durable.

use std::path::Path;
use std::sync::mpsc;

use clap::Args;
use serde_json::Value;
use talos_api::admin_token::{NewAdminToken, render_with_secret};
use talos_api::error::ApiError;
use talos_credentials::admin_token;
use talos_engine::Engine;
use talos_model::{AdminToken, Role, TokenDigest};
use zeroize::Zeroizing;

use crate::client::Answer;
use crate::console::Console;
use crate::error::CliError;
use crate::serve::offline;

/// The token to create.
#[derive(Debug, Args)]
pub(super) struct BootstrapArguments {
    /// Name of its holder; unique among the tokens
    #[arg(default_value = "admin")]
    name: String,

    /// What it may do: verify, read, write, operate or admin
    #[arg(long, default_value = "admin")]
    role: Role,

    /// Use the database of `talos serve --dev`, in the working directory
    #[arg(long)]
    dev: bool,
}

impl BootstrapArguments {
    /// Creates the token, and answers what a server would.
    pub(super) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<Answer, CliError> {
        // Checked first, because a database is created if there is none.
        let token = NewAdminToken::unlimited(self.name.clone(), self.role)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        let mut random = Zeroizing::new([0; admin_token::RANDOM_BYTES]);
        getrandom::fill(&mut *random)
            .map_err(|error| CliError::Terminal(std::io::Error::other(error.to_string())))?;
        let secret = admin_token::text(&random);
        let digest = admin_token::digest(secret.expose().as_bytes());
        let database = offline::open(config, self.dev, console.remarks)?;
        let created = create(&database.engine, token, digest);
        database.close();
        let created = created?;
        // A remark that cannot be written does not stop the command.
        let directory = database.directory.display();
        let _ = writeln!(console.remarks, "The token is in the database {directory}.");
        let body = render_with_secret(&created, &secret);
        let unreadable = |error: String| CliError::Terminal(std::io::Error::other(error));
        let json: Value =
            serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
        Ok(Answer { text, json })
    }
}

/// Creates the token, and waits until it is durable.
fn create(
    engine: &Engine,
    token: NewAdminToken,
    digest: TokenDigest,
) -> Result<AdminToken, CliError> {
    let (sender, receiver) = mpsc::channel();
    engine.submit(token.command(digest), move |created| {
        // The receiver waits below.
        drop(sender.send(created));
    });
    match receiver.recv() {
        Ok(Ok(created)) => Ok(created),
        Ok(Err(error)) => Err(CliError::NotCreated(ApiError::from(error).to_string())),
        Err(_) => Err(CliError::NotCreated(
            "the database gave no answer".to_owned(),
        )),
    }
}
