//! token-cache itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use token_cache_core::{BoxError, TemporaryToken, TokenCache, TokenSource};

use super::{Peer, PeerCache};
use crate::source::ScriptedSource;

pub(crate) struct TokenCachePeer;

struct Source(Arc<ScriptedSource>);

impl Peer for TokenCachePeer {
    fn name(&self) -> &'static str {
        "token-cache"
    }

    fn package(&self) -> Option<&'static str> {
        Some("token-cache-core")
    }

    fn note(&self) -> &'static str {
        "defaults, except for a jitter of zero and an `expiry_buffer` of 300 s that does not scale with the lifetime, so that \
         a token with 5 s left is due for a refresh, as it is in the other caches"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        let builder = TokenCache::builder(Source(source)).expiry_buffer_by(|_| Duration::from_secs(300)).jitter(0.0);
        Ok(Arc::new(builder.build()))
    }
}

#[async_trait]
impl TokenSource for Source {
    type Token = usize;

    async fn fetch(&self) -> Result<TemporaryToken<usize>, BoxError> {
        let issued = self.0.fetch().await?;
        Ok(TemporaryToken::new(issued.number, issued.expires_at))
    }
}

#[async_trait]
impl PeerCache for TokenCache<usize> {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(*Self::get(self).await?)
    }
}
