//! The table of keys, searched by the hash of the credential.

use deadpool_postgres::{
    Config, CreatePoolError, ManagerConfig, Pool, PoolConfig, PoolError, RecyclingMethod, Runtime,
};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use tokio_postgres::NoTls;

const FIND: &str = "SELECT key_id, actor_id, scopes, metadata, status, visibility, issuer, expire_time \
                    FROM api_keys WHERE hash = $1";

/// Why the database could not be searched.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No connection.
    #[error("pool: {0}")]
    Pool(#[from] PoolError),
    /// The query failed.
    #[error("query: {0}")]
    Query(#[from] tokio_postgres::Error),
}

/// A row of the table.
pub struct Key {
    pub id: String,
    pub actor_id: String,
    pub scopes: Vec<String>,
    pub metadata: Value,
    pub status: String,
    pub visibility: String,
    pub issuer: String,
    pub expires: Timestamp,
}

/// A pool of connections to the table.
pub struct Store {
    pool: Pool,
}

impl Store {
    /// A pool of at most `connections` connections to the database whose Unix socket is in
    /// `directory`. Connects when first used.
    pub fn new(directory: &str, user: &str, connections: usize) -> Result<Self, CreatePoolError> {
        let config = Config {
            host: Some(directory.to_owned()),
            user: Some(user.to_owned()),
            dbname: Some("postgres".to_owned()),
            manager: Some(ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            }),
            pool: Some(PoolConfig::new(connections)),
            ..Config::default()
        };
        let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
        Ok(Self { pool })
    }

    /// The key whose credential has this SHA-256.
    pub async fn find(&self, hash: &[u8]) -> Result<Option<Key>, StoreError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(FIND).await?;
        let Some(row) = client.query_opt(&statement, &[&hash]).await? else {
            return Ok(None);
        };
        Ok(Some(Key {
            id: row.try_get(0)?,
            actor_id: row.try_get(1)?,
            scopes: row.try_get(2)?,
            metadata: row.try_get(3)?,
            status: row.try_get(4)?,
            visibility: row.try_get(5)?,
            issuer: row.try_get(6)?,
            expires: row.try_get(7)?,
        }))
    }
}
