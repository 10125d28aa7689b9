//! [`View`]: a cache whose tokens are converted.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::cache::TokenCache;
use crate::error::Error;
use crate::rt::{AtomicArc, Mutex, lock};

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
    convert: Box<dyn Fn(&T) -> U + Send + Sync>,
    convert_lock: Mutex<()>,
}

struct Conversion<T, U> {
    token: Weak<T>,
    converted: Arc<U>,
}

impl<T, U> View<T, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
{
    pub(crate) fn new(cache: TokenCache<T>, convert: Box<dyn Fn(&T) -> U + Send + Sync>) -> Self {
        let shared = Shared { last: AtomicArc::from_pointee(None), convert, convert_lock: Mutex::new(()) };
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
    pub async fn get(&self) -> Result<Arc<U>, Error> {
        match self.hit() {
            Some(converted) => Ok(converted),
            None => Box::pin(self.get_converted()).await,
        }
    }

    /// What the servable token was converted to.
    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<U>> {
        self.cache.inner.read_servable(Duration::ZERO, |token| self.shared.converted(token))?
    }

    /// Invalidates the token that `converted` was made from. Otherwise as [`TokenCache::invalidate`].
    pub fn invalidate(&self, converted: &Arc<U>) {
        if let Some(last) = self.shared.last.load().as_ref()
            && Arc::ptr_eq(&last.converted, converted)
            && let Some(token) = last.token.upgrade()
        {
            self.cache.invalidate(&token);
        }
    }

    async fn get_converted(&self) -> Result<Arc<U>, Error> {
        loop {
            let token = self.cache.get().await?;
            if let Some(converted) = self.shared.converted(&token).or_else(|| self.convert(&token)) {
                return Ok(converted);
            }
        }
    }

    /// Converts `token`, unless the cache has replaced it: a newer one may already be converted.
    fn convert(&self, token: &Arc<T>) -> Option<Arc<U>> {
        let _guard = lock(&self.shared.convert_lock);
        if let Some(converted) = self.shared.converted(token) {
            return Some(converted);
        }
        if !self.cache.inner.is_current(token) {
            return None;
        }
        let converted = Arc::new((self.shared.convert)(token));
        let conversion = Conversion { token: Arc::downgrade(token), converted: Arc::clone(&converted) };
        drop(self.shared.last.swap(Some(Arc::new(conversion))));
        Some(converted)
    }
}

impl<T, U> Shared<T, U> {
    /// What `token` was converted to, if it was the last one.
    #[inline]
    fn converted(&self, token: &Arc<T>) -> Option<Arc<U>> {
        let last = self.last.load();
        last.as_ref().filter(|last| last.token.as_ptr() == Arc::as_ptr(token)).map(|last| Arc::clone(&last.converted))
    }
}

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
        assert!(view.convert(&late).is_none());
        assert_eq!(conversions.load(Ordering::SeqCst), 2);
    }
}
