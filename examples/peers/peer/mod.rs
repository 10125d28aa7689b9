//! [`Peer`]: what a cache has to offer to be measured. One file for each.

mod google;
mod hand_written;
mod moka;
pub(crate) mod object_store;
pub(crate) mod smithy;
mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;

use crate::script::Script;

/// A kind of cache.
pub(crate) trait Peer: Send + Sync {
    fn name(&self) -> &'static str;

    /// The package it comes in, where it is published.
    fn package(&self) -> Option<&'static str>;

    /// How it is driven here, in a sentence or two.
    fn note(&self) -> &'static str;

    /// A new, empty cache over `script`.
    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>>;
}

/// A cache, as those see it who want tokens.
#[async_trait]
pub(crate) trait Caller: Send + Sync {
    /// The number of the token that was handed out.
    async fn get(&self) -> anyhow::Result<usize>;
}

/// All of them, our own first.
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
