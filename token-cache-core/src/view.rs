//! [`View`]: a cache whose tokens are converted.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::cache::TokenCache;
use crate::error::Error;
use crate::rt::{AsyncMutex, AtomicArc};
use crate::snapshot::{Snapshot, Validity};

/// A [`TokenCache`] that returns its tokens converted, from [`TokenCache::view`].
///
/// Each token is converted once: all callers get the same `Arc<U>`. Clones share the cache and the conversions. A view keeps
/// the last converted token until a newer one is read, and does not keep the original token alive.
pub struct View<T, U> {
    cache: TokenCache<T>,
    shared: Arc<Shared<T, U>>,
}

/// Aligned to a cache line: readers must not share one with the reference counts.
#[repr(align(64))]
struct Shared<T, U> {
    last: AtomicArc<Conversion<T, U>>,
    convert: Arc<dyn Fn(&T) -> U + Send + Sync>,
    /// Callers wait for a conversion without blocking their threads.
    convert_lock: AsyncMutex<()>,
}

struct Conversion<T, U> {
    token: Weak<T>,
    converted: Arc<U>,
    /// Of the snapshot that the token was read from.
    validity: Arc<Validity>,
}

impl<T, U> View<T, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
{
    pub(crate) fn new(cache: TokenCache<T>, convert: Arc<dyn Fn(&T) -> U + Send + Sync>) -> Self {
        let shared = Shared { last: AtomicArc::from_pointee(None), convert, convert_lock: AsyncMutex::new(()) };
        Self { cache, shared: Arc::new(shared) }
    }

    /// Returns a token that has not expired, converted. Otherwise as [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get`].
    ///
    /// # Panics
    ///
    /// If the conversion panics. The next call converts again.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// assert_eq!(*header.get().await?, "Bearer a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self) -> Result<Arc<U>, Error> {
        match self.hit() {
            Some(converted) => Ok(converted),
            None => Box::pin(self.get_converted(Duration::ZERO)).await,
        }
    }

    /// Returns a token that is valid for at least `min_remaining`, converted. Otherwise as [`TokenCache::get_valid_for`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get_valid_for`].
    ///
    /// # Panics
    ///
    /// If the conversion panics. The next call converts again.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// assert_eq!(*header.get_valid_for(Duration::from_secs(60)).await?, "Bearer a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_valid_for(&self, min_remaining: Duration) -> Result<Arc<U>, Error> {
        Box::pin(self.get_converted(min_remaining)).await
    }

    /// What the servable token was converted to.
    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<U>> {
        let last = self.shared.last.load();
        let last = last.as_ref()?;
        last.validity.is_servable(&self.cache.inner.clock).then(|| Arc::clone(&last.converted))
    }

    /// Invalidates the token that `converted` was made from. Otherwise as [`TokenCache::invalidate`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// header.invalidate(&header.get().await?);
    /// assert!(cache.peek().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate(&self, converted: &Arc<U>) {
        if let Some(token) = self.token_of(converted) {
            self.cache.invalidate(&token);
        }
    }

    /// Rejects the token that `converted` was made from, and waits for another one, converted. Otherwise as
    /// [`TokenCache::replace`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::replace`].
    ///
    /// # Panics
    ///
    /// If the conversion panics. The next call converts again.
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
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// let rejected = header.get().await?;
    /// cache.store(TemporaryToken::expires_in("b", Duration::from_secs(3600)))?; // meanwhile
    /// assert_eq!(*header.replace(&rejected).await?, "Bearer b");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replace(&self, converted: &Arc<U>) -> Result<Arc<U>, Error> {
        if let Some(token) = self.token_of(converted) {
            self.cache.replace(&token).await?;
        }
        self.get().await
    }

    /// Returns a view that converts what this one returns.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// let header = cache.view(|token| format!("Bearer {token}"));
    /// let length = header.view(String::len);
    /// assert_eq!(*length.get().await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn view<V, F>(&self, convert: F) -> View<T, V>
    where
        V: Send + Sync + 'static,
        F: Fn(&U) -> V + Send + Sync + 'static,
    {
        let first = Arc::clone(&self.shared.convert);
        View::new(self.cache.clone(), Arc::new(move |token| convert(&first(token))))
    }

    /// The token of the last conversion.
    fn token_of(&self, converted: &Arc<U>) -> Option<Arc<T>> {
        let last = self.shared.last.load();
        last.as_ref().filter(|last| Arc::ptr_eq(&last.converted, converted))?.token.upgrade()
    }

    async fn get_converted(&self, min_remaining: Duration) -> Result<Arc<U>, Error> {
        loop {
            let token = self.cache.get_valid_for(min_remaining).await?;
            if let Some(converted) = self.converted(&token) {
                return Ok(converted);
            }
            let _guard = self.shared.convert_lock.lock().await;
            // Otherwise the cache has replaced the token, and the newer one may already be converted.
            if let Some(converted) = self.cache.inner.snapshot_of(&token, |snapshot| self.convert(snapshot)) {
                return Ok(converted);
            }
        }
    }

    /// What `token` was converted to, for an earlier snapshot. Waits for no other caller.
    fn converted(&self, token: &Arc<T>) -> Option<Arc<U>> {
        let last = self.shared.last.load();
        let last = last.as_ref().filter(|last| last.token.as_ptr() == Arc::as_ptr(token))?;
        if let Ok(_guard) = self.shared.convert_lock.try_lock() {
            // So that the next read is a hit.
            self.cache.inner.snapshot_of(token, |snapshot| self.convert(snapshot));
        }
        Some(Arc::clone(&last.converted))
    }

    /// Converts the token of a snapshot, if that was not done for an earlier snapshot of the same token.
    fn convert(&self, snapshot: &Snapshot<T>) -> Arc<U> {
        let last = self.shared.last.load();
        let last = last.as_ref().filter(|last| last.token.as_ptr() == Arc::as_ptr(&snapshot.token));
        let converted = match last {
            Some(last) => Arc::clone(&last.converted),
            None => Arc::new((self.shared.convert)(&snapshot.token)),
        };
        let (token, validity) = (Arc::downgrade(&snapshot.token), Arc::clone(&snapshot.validity));
        let conversion = Conversion { token, converted: Arc::clone(&converted), validity };
        drop(self.shared.last.swap(Some(Arc::new(conversion))));
        converted
    }
}

impl<T, U> UnwindSafe for View<T, U> {}
impl<T, U> RefUnwindSafe for View<T, U> {}

impl<T, U> Clone for View<T, U> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static, U> fmt::Debug for View<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("cache", &self.cache).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::source::source_fn;
    use crate::token::TemporaryToken;

    #[tokio::test]
    async fn p04_a_late_caller_does_not_convert_an_old_token_again() {
        let fetched = AtomicUsize::new(0);
        let source = source_fn(move || {
            let token = fetched.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) }
        });
        let cache = TokenCache::builder(source).min_refresh_interval(Duration::ZERO).build();
        let conversions = Arc::new(AtomicUsize::new(0));
        let view = cache.view({
            let conversions = Arc::clone(&conversions);
            move |_| conversions.fetch_add(1, Ordering::SeqCst)
        });
        // As a caller has it that was interrupted inside `View::get`.
        let late = cache.get().await.unwrap();
        view.get().await.unwrap();
        let newer = cache.refresh().await.unwrap();
        view.get().await.unwrap();
        cache.invalidate(&newer);
        assert!(cache.inner.snapshot_of(&late, |snapshot| view.convert(snapshot)).is_none());
        assert_eq!(conversions.load(Ordering::SeqCst), 2);
    }
}
