//! [`Peer`]: what a cache must provide to be compared. One file for each cache.

mod google;
pub(crate) mod hand_written;
mod moka;
pub(crate) mod object_store;
pub(crate) mod smithy;
mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;

use crate::source::ScriptedSource;

/// A cache implementation, published or hand-written.
pub(crate) trait Peer: Send + Sync {
    fn name(&self) -> &'static str;

    /// The package that contains it, if it is published.
    fn package(&self) -> Option<&'static str>;

    /// How it is configured and driven here, in a sentence or two.
    fn note(&self) -> &'static str;

    /// Builds an empty cache over `source`.
    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>>;
}

/// A cache of a [`Peer`].
#[async_trait]
pub(crate) trait PeerCache: Send + Sync {
    /// Returns the number of the token that the cache returns.
    async fn get(&self) -> anyhow::Result<usize>;
}

/// All caches. token-cache is the first.
pub(crate) fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(token_cache::TokenCachePeer),
        Box::new(object_store::ObjectStore),
        Box::new(smithy::Smithy),
        Box::new(google::Google),
        Box::new(moka::Moka),
        Box::new(hand_written::HandWritten),
    ]
}
