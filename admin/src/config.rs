//! `POST /v2alpha1/admin/config:reload`

use std::sync::Arc;

use talos_api::config;
use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use tokio::task::spawn_blocking;

use crate::context::Context;

/// Loads the configuration of this node again.
pub(crate) async fn reload(context: &Context) -> Result<ControlResponse, ApiError> {
    let configuration = Arc::clone(&context.configuration);
    let reloaded = spawn_blocking(move || configuration.reload()).await;
    let reloaded = reloaded.map_err(|error| {
        tracing::error!(%error, "the configuration could not be reloaded");
        ApiError::internal()
    })?;
    let state = reloaded.map_err(|problem| {
        ApiError::failed_precondition(format!("the configuration was not reloaded: {problem}"))
    })?;
    Ok(ControlResponse::json(200, config::render_response(&state)))
}
