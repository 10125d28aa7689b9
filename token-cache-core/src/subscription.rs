//! [`Subscription`]: waiting for new tokens.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use crate::inner::Inner;
use crate::rt::watch;

/// The tokens that a cache stores from now on, from [`TokenCache::subscribe`](crate::TokenCache::subscribe).
///
/// A subscription does not fetch and does not keep the cache alive. It counts as a reader for
/// [`keep_warm`](crate::TokenCacheBuilder::keep_warm). A slow subscriber may skip tokens but always receives the
/// latest.
pub struct Subscription<T> {
    inner: Weak<Inner<T>>,
    generations: watch::Receiver<u64>,
    /// The generation that was returned last, or was stored before the subscription.
    seen: u64,
}

impl<T: Send + Sync + 'static> Subscription<T> {
    pub(crate) fn new(inner: &Arc<Inner<T>>) -> Self {
        let generations = inner.generations.subscribe();
        let seen = *generations.borrow();
        Self { inner: Arc::downgrade(inner), generations, seen }
    }

    /// Waits for a token that is newer than the last one returned, or than the subscription. Returns `None` once the last
    /// handle of the cache is dropped.
    ///
    /// This is cancel safe, and works in any runtime or none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::TemporaryToken;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let mut tokens = cache.subscribe();
    /// cache.store(TemporaryToken::expires_in("b", Duration::from_secs(3600)))?;
    /// cache.store(TemporaryToken::expires_in("c", Duration::from_secs(3600)))?;
    /// assert_eq!(tokens.changed().await.as_deref(), Some(&"c"), "the latest one");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn changed(&mut self) -> Option<Arc<T>> {
        // A reader starts the keep-warm task again if it has stopped.
        self.inner.upgrade()?.ensure_kept_warm();
        loop {
            self.generations.changed().await.ok()?;
            let inner = self.inner.upgrade()?;
            // Not a token that was invalidated or has expired in the meantime.
            match inner.peek(|snapshot| (snapshot.generation, Arc::clone(&snapshot.token))) {
                Some((generation, token)) if generation > self.seen => {
                    self.seen = generation;
                    return Some(token);
                }
                _ => {}
            }
        }
    }
}

impl<T> UnwindSafe for Subscription<T> {}
impl<T> RefUnwindSafe for Subscription<T> {}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("generation", &*self.generations.borrow()).finish_non_exhaustive()
    }
}
