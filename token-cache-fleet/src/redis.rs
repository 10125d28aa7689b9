//! [`Redis`]: records in Redis or Valkey.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Script};
use token_cache_core::BoxError;

use crate::store::{Store, Version};

/// Records in Redis or Valkey, over a connection of the redis crate: a
/// [`MultiplexedConnection`](redis::aio::MultiplexedConnection), a `ConnectionManager`, which connects again by itself, or a
/// cluster connection.
///
/// Each token is one key, so it works in a cluster. Keys expire with their token. If one is evicted, or lost in a failover, the
/// token is fetched once more.
#[derive(Clone)]
pub struct Redis<C> {
    connection: C,
    prefix: Box<str>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Redis<C> {
    /// Uses a connection. Keys start with `token-cache:`.
    ///
    /// ```
    /// # async fn example() -> Result<(), redis::RedisError> {
    /// use token_cache_fleet::Redis;
    ///
    /// let client = redis::Client::open("redis://127.0.0.1/")?;
    /// let store = Redis::new(client.get_multiplexed_async_connection().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(connection: C) -> Self {
        Self { connection, prefix: "token-cache:".into() }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> Store for Redis<C> {
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError> {
        let record: Option<Vec<u8>> = self.connection.clone().get(self.key(name)).await?;
        Ok(record.map(|record| (Version::new(record.clone()), record)))
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        keep: Duration,
    ) -> Result<Option<Version>, BoxError> {
        let keep = u64::try_from(keep.as_millis()).unwrap_or(MAX_KEEP).clamp(1, MAX_KEEP);
        let mut swap = SWAP.prepare_invoke();
        swap.key(self.key(name)).arg(expected.map_or(&[][..], Version::as_bytes)).arg(&record).arg(keep);
        let is_stored: bool = swap.invoke_async(&mut self.connection.clone()).await?;
        Ok(is_stored.then(|| Version::new(record)))
    }
}

impl<C> fmt::Debug for Redis<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Replaces a value if it is the expected one. No value is as an empty one: records are not empty.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1",
    )
});

/// A year, in milliseconds. Redis refuses times that overflow when the current time is added.
const MAX_KEEP: u64 = 365 * 24 * 3600 * 1000;
