//! A typical key server: axum, a pool of PostgreSQL connections, keys found by an indexed hash,
//! JSON in and out. With `--cache`, it keeps keys in memory for a minute.
//!
//! It does far less than Talos: no checksum, no address or audience, no rate limit, no record of
//! uses.

mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use jiff::Timestamp;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::store::{Key, Store, StoreError};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CACHED_KEYS: u64 = 100_000;
const CACHED_FOR: Duration = Duration::from_secs(60);

/// Verifies API keys that a PostgreSQL table holds.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port on loopback.
    #[arg(long)]
    port: u16,
    /// The directory of the database's Unix socket.
    #[arg(long)]
    database_socket: String,
    /// The user of the database.
    #[arg(long)]
    database_user: String,
    /// Connections to the database.
    #[arg(long, default_value_t = 16)]
    database_connections: usize,
    /// Keeps keys in memory for a minute.
    #[arg(long)]
    cache: bool,
}

struct Server {
    store: Store,
    cache: Option<Cache<[u8; 32], Arc<Key>>>,
}

impl Server {
    async fn find(&self, hash: [u8; 32]) -> Result<Option<Arc<Key>>, StoreError> {
        let Some(cache) = &self.cache else {
            return Ok(self.store.find(&hash).await?.map(Arc::new));
        };
        if let Some(key) = cache.get(&hash).await {
            return Ok(Some(key));
        }
        let key = self.store.find(&hash).await?.map(Arc::new);
        if let Some(key) = &key {
            cache.insert(hash, Arc::clone(key)).await;
        }
        Ok(key)
    }
}

#[derive(Deserialize)]
struct Question {
    credential: String,
}

/// The fields are in Talos's order, so that both servers answer the same bytes.
#[derive(Serialize)]
struct Answer<'a> {
    is_valid: bool,
    is_active: bool,
    status: &'a str,
    key_id: &'a str,
    actor_id: &'a str,
    scopes: &'a [String],
    metadata: &'a Value,
    visibility: &'a str,
    issuer: &'a str,
    expire_time: &'a str,
}

async fn verify(State(server): State<Arc<Server>>, Json(question): Json<Question>) -> Response {
    let hash = Sha256::digest(&question.credential).into();
    let key = match server.find(hash).await {
        Ok(Some(key)) => key,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            eprintln!("key_server: {error}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let is_active = key.status == "KEY_STATUS_ACTIVE" && key.expires > Timestamp::now();
    Json(Answer {
        is_valid: is_active,
        is_active,
        status: &key.status,
        key_id: &key.id,
        actor_id: &key.actor_id,
        scopes: &key.scopes,
        metadata: &key.metadata,
        visibility: &key.visibility,
        issuer: &key.issuer,
        expire_time: &rfc3339(key.expires),
    })
    .into_response()
}

/// RFC 3339, with milliseconds if they are not 0.
fn rfc3339(time: Timestamp) -> String {
    if time.subsec_millisecond() == 0 {
        format!("{time:.0}")
    } else {
        format!("{time:.3}")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let cache = Cache::builder()
        .max_capacity(CACHED_KEYS)
        .time_to_live(CACHED_FOR);
    let server = Server {
        store: Store::new(
            &arguments.database_socket,
            &arguments.database_user,
            arguments.database_connections,
        )?,
        cache: arguments.cache.then(|| cache.build()),
    };
    let router = Router::new()
        .route("/v2alpha1/admin/apiKeys:verify", post(verify))
        .with_state(Arc::new(server));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}
