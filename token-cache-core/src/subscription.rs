//! [`Subscription`]: waiting for new tokens.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::inner::Inner;
use crate::rt::watch;

/// The tokens that a cache stores from now on, from [`TokenCache::subscribe`](crate::TokenCache::subscribe).
///
/// A subscription does not fetch and does not keep the cache alive. A slow subscriber may skip tokens but always receives the
/// latest.
pub struct Subscription<T> {
    inner: Weak<Inner<T>>,
    generations: watch::Receiver<u64>,
}

impl<T: Send + Sync + 'static> Subscription<T> {
    pub(crate) fn new(inner: &Arc<Inner<T>>) -> Self {
        Self { inner: Arc::downgrade(inner), generations: inner.generations.subscribe() }
    }

    /// Waits for a token that is newer than the last one returned, or than the subscription. Returns `None` once the last
    /// handle of the cache is dropped.
    ///
    /// This is cancel safe, and works in any runtime or none.
    pub async fn changed(&mut self) -> Option<Arc<T>> {
        loop {
            self.generations.changed().await.ok()?;
            let inner = self.inner.upgrade()?;
            // Not a token that was rejected or has expired in the meantime.
            if let Some(token) = inner.peek() {
                return Some(token);
            }
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("generation", &*self.generations.borrow()).finish_non_exhaustive()
    }
}
