//! [`Subscription`]: learning of new tokens without polling.

use std::fmt;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::shared::Shared;

/// The tokens that a cache stores from now on, from [`TokenCache::subscribe`](crate::TokenCache::subscribe).
///
/// It neither fetches nor keeps the cache alive. Who is slow skips tokens, and never misses the newest.
pub struct Subscription<T> {
    shared: Weak<Shared<T>>,
    generations: watch::Receiver<u64>,
}

impl<T: Send + Sync + 'static> Subscription<T> {
    pub(crate) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self { shared: Arc::downgrade(shared), generations: shared.generations.subscribe() }
    }

    /// Waits for a token that is newer than the last one that this gave, or than the subscription. `None` once the last
    /// handle of the cache is dropped.
    ///
    /// Dropping the future loses nothing. It can be awaited in any runtime or none.
    pub async fn changed(&mut self) -> Option<Arc<T>> {
        loop {
            self.generations.changed().await.ok()?;
            let shared = self.shared.upgrade()?;
            // One that was rejected or has expired in the meantime is no news.
            if let Some(token) = shared.look(|state, _, now| state.peek(now)) {
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
