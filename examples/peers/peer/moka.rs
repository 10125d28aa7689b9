//! moka, with one entry that expires before its token does.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use async_trait::async_trait;
use moka::Expiry;
use moka::future::Cache;

use super::{Peer, PeerCache};
use crate::source::{IssuedToken, ScriptedSource};

pub(crate) struct Moka;

struct TokenExpiry;

struct MokaCache {
    cache: Cache<(), IssuedToken>,
    source: Arc<ScriptedSource>,
}

impl Peer for Moka {
    fn name(&self) -> &'static str {
        "moka"
    }

    fn package(&self) -> Option<&'static str> {
        Some("moka")
    }

    fn note(&self) -> &'static str {
        "`try_get_with` on a `future::Cache` with one entry, which an `Expiry` removes 300 s before its token expires"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        let cache = Cache::builder().max_capacity(1).expire_after(TokenExpiry).build();
        Ok(Arc::new(MokaCache { cache, source }))
    }
}

impl Expiry<(), IssuedToken> for TokenExpiry {
    fn expire_after_create(&self, (): &(), issued: &IssuedToken, _: Instant) -> Option<Duration> {
        let remaining = issued.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        Some(remaining.saturating_sub(Duration::from_secs(300)))
    }
}

#[async_trait]
impl PeerCache for MokaCache {
    async fn get(&self) -> anyhow::Result<usize> {
        let issued = self.cache.try_get_with((), self.source.fetch()).await.map_err(|shared| anyhow!(*shared))?;
        Ok(issued.number)
    }
}
