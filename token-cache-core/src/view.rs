//! [`View`]: a cache whose callers want the token in another shape.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::cache::TokenCache;
use crate::error::Error;

/// A [`TokenCache`] seen through a conversion.
///
/// Each token is converted once, not once a call: all callers of one token get the same `Arc<U>`. Clones share both the
/// cache and what has been converted. The view keeps the last token it converted.
pub struct View<T, U> {
    cache: TokenCache<T>,
    shared: Arc<Shared<T, U>>,
}

struct Shared<T, U> {
    convert: Box<dyn Fn(&T) -> U + Send + Sync>,
    last: ArcSwapOption<(Arc<T>, Arc<U>)>,
    /// Held while converting, so that it is done once.
    turn: Mutex<()>,
}

impl<T, U> View<T, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
{
    pub(crate) fn new(cache: TokenCache<T>, convert: Box<dyn Fn(&T) -> U + Send + Sync>) -> Self {
        let shared = Shared { convert, last: ArcSwapOption::empty(), turn: Mutex::new(()) };
        Self { cache, shared: Arc::new(shared) }
    }

    /// As [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get`].
    ///
    /// # Panics
    ///
    /// If the conversion does. The next call converts anew.
    pub async fn get(&self) -> Result<Arc<U>, Error> {
        let token = self.cache.get().await?;
        Ok(self.converted(&token).unwrap_or_else(|| self.convert(token)))
    }

    /// As [`TokenCache::invalidate`], for a token that this view gave out.
    pub fn invalidate(&self, converted: &Arc<U>) {
        if let Some(last) = self.shared.last.load().as_deref()
            && Arc::ptr_eq(&last.1, converted)
        {
            self.cache.invalidate(&last.0);
        }
    }

    fn converted(&self, token: &Arc<T>) -> Option<Arc<U>> {
        let last = self.shared.last.load();
        let (from, to) = last.as_deref()?;
        Arc::ptr_eq(from, token).then(|| Arc::clone(to))
    }

    #[cold]
    fn convert(&self, token: Arc<T>) -> Arc<U> {
        let _turn = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // The cache may have a newer one by now. Going back to this one would convert that one twice.
        let token = self.cache.peek().unwrap_or(token);
        self.converted(&token).unwrap_or_else(|| {
            let converted = Arc::new((self.shared.convert)(&token));
            self.shared.last.store(Some(Arc::new((token, Arc::clone(&converted)))));
            converted
        })
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
