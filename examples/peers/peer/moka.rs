//! moka, as one would use it for a token: an entry that expires before the token does, and `try_get_with`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use async_trait::async_trait;
use moka::Expiry;
use moka::future::Cache;

use super::{Caller, Peer};
use crate::script::{Issued, Script};

pub(crate) struct Moka;

struct BeforeItsExpiry;

struct Entry {
    cache: Cache<(), Issued>,
    script: Arc<Script>,
}

impl Peer for Moka {
    fn name(&self) -> &'static str {
        "moka"
    }

    fn package(&self) -> Option<&'static str> {
        Some("moka")
    }

    fn note(&self) -> &'static str {
        "`try_get_with` on a `future::Cache` of one entry, which an `Expiry` ends 300 s before its token"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        let cache = Cache::builder().max_capacity(1).expire_after(BeforeItsExpiry).build();
        Ok(Arc::new(Entry { cache, script }))
    }
}

impl Expiry<(), Issued> for BeforeItsExpiry {
    fn expire_after_create(&self, (): &(), issued: &Issued, _: Instant) -> Option<Duration> {
        let remaining = issued.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        Some(remaining.saturating_sub(Duration::from_secs(300)))
    }
}

#[async_trait]
impl Caller for Entry {
    async fn get(&self) -> anyhow::Result<usize> {
        let issued = self.cache.try_get_with((), self.script.fetch()).await.map_err(|shared| anyhow!(*shared))?;
        Ok(issued.number)
    }
}
