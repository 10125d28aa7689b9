//! The stores, by name.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use token_cache_core::BoxError;
use token_cache_fleet::{Files, Objects, Redis, Store};

use crate::redis_server::RedisServer;

/// What the user names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    None,
    Files,
    Redis,
    S3,
}

/// A store that child processes can open.
pub(crate) struct SharedStore {
    /// For [`open`].
    pub(crate) address: String,
    pub(crate) redis: Option<RedisServer>,
    _directory: tempfile::TempDir,
}

impl SharedStore {
    pub(crate) async fn start(kind: Kind) -> Result<Self, BoxError> {
        let directory = tempfile::tempdir()?;
        let mut redis = None;
        let address = match kind {
            Kind::None => "none".to_owned(),
            Kind::Files => format!("files:{}", directory.path().join("tokens").display()),
            Kind::Redis => {
                let server = redis.insert(RedisServer::start(directory.path()).await?);
                format!("redis://127.0.0.1:{}/", server.port)
            }
            Kind::S3 => "s3".to_owned(),
        };
        Ok(Self { address, redis, _directory: directory })
    }
}

/// `None`: no store.
pub(crate) async fn open(address: &str) -> Result<Option<Arc<dyn Store>>, BoxError> {
    Ok(match address.split_once(':') {
        None if address == "none" => None,
        None => {
            let endpoint = env::var("TOKEN_CACHE_S3").map_err(|_| "set TOKEN_CACHE_S3 to the endpoint of S3")?;
            let keys = env::var("TOKEN_CACHE_S3_KEYS").unwrap_or_else(|_| "test:test".to_owned());
            let (id, secret) = keys.split_once(':').ok_or("TOKEN_CACHE_S3_KEYS is not ID:SECRET")?;
            let store = AmazonS3Builder::new().with_endpoint(endpoint).with_allow_http(true).with_bucket_name("fleet");
            let store = store.with_region("us-east-1").with_access_key_id(id).with_secret_access_key(secret).build()?;
            Some(Arc::new(Objects::new(Arc::new(store), "tokens")))
        }
        Some(("files", directory)) => Some(Arc::new(Files::new(directory)?)),
        Some(_) => {
            let config = ConnectionManagerConfig::new()
                .set_response_timeout(Some(Duration::from_secs(2)))
                .set_connection_timeout(Some(Duration::from_secs(2)));
            let client = redis::Client::open(address)?;
            Some(Arc::new(Redis::new(ConnectionManager::new_lazy_with_config(client, config)?)))
        }
    })
}
