//! [`View`]: a cache whose callers want the token in another shape.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::cache::TokenCache;
use crate::error::Error;
use crate::notes::{Held, Notes};
use crate::published::Hit;

/// A [`TokenCache`] seen through a conversion.
///
/// Each token is converted once, not once a call: all callers of one token get the same `Arc<U>`. Clones share both the
/// cache and what has been converted. The view keeps the last token it converted, and for each thread the last one that
/// was read there: until that thread reads again, or the view is gone.
pub struct View<T, U> {
    cache: TokenCache<T>,
    shared: Arc<Shared<T, U>>,
}

/// On lines of memory of its own, as what is published is.
#[repr(align(64))]
struct Shared<T, U> {
    convert: Box<dyn Fn(&T) -> U + Send + Sync>,
    last: ArcSwapOption<(Arc<T>, Arc<U>)>,
    /// Held while converting, so that it is done once.
    turn: Mutex<()>,
    notes: Notes,
}

impl<T, U> View<T, U>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
{
    pub(crate) fn new(cache: TokenCache<T>, convert: Box<dyn Fn(&T) -> U + Send + Sync>) -> Self {
        let shared = Shared { convert, last: ArcSwapOption::empty(), turn: Mutex::new(()), notes: Notes::default() };
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
        match self.hit() {
            Some(converted) => Ok(converted),
            None => Box::pin(self.fetched()).await,
        }
    }

    /// What the token that may be handed out now was converted to.
    #[inline]
    fn hit(&self) -> Option<Arc<U>> {
        match self.cache.shared.published.stamp().and_then(|stamp| self.shared.notes.find(stamp)) {
            None => self.noted(),
            converted => converted,
        }
    }

    #[inline(never)]
    fn noted(&self) -> Option<Arc<U>> {
        let Hit { token, stamp } = self.cache.shared.published.judged(Duration::ZERO)?;
        let converted = self.converted(&token)?;
        if let Some(stamp) = stamp {
            self.shared.notes.put(stamp, &converted, Held::fast);
        }
        Some(converted)
    }

    async fn fetched(&self) -> Result<Arc<U>, Error> {
        loop {
            let token = self.cache.get().await?;
            if let Some(converted) = self.converted(&token).or_else(|| self.convert(&token)) {
                return Ok(converted);
            }
        }
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

    /// `None` for a token that the cache no longer holds: one that came after it may have been converted already, and who
    /// comes late with an older one is to ask again.
    #[cold]
    fn convert(&self, token: &Arc<T>) -> Option<Arc<U>> {
        let _turn = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.converted(token).or_else(|| {
            self.cache.shared.look(|state, _, _| state.holds(token)).then(|| {
                let converted = Arc::new((self.shared.convert)(token));
                self.shared.last.store(Some(Arc::new((Arc::clone(token), Arc::clone(&converted)))));
                converted
            })
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::source::source_fn;
    use crate::token::TemporaryToken;

    #[tokio::test]
    async fn each_token_is_converted_once_for_one_who_comes_late_too() {
        let fetched = AtomicUsize::new(0);
        let source = source_fn(move || {
            let token = fetched.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) }
        });
        let cache = TokenCache::builder(source).min_refresh_interval(Duration::ZERO).build();
        let converted = Arc::new(AtomicUsize::new(0));
        let view = cache.view({
            let converted = Arc::clone(&converted);
            move |_| converted.fetch_add(1, Ordering::SeqCst)
        });
        let late = cache.get().await.unwrap(); // and here its caller is stopped, on the way through `View::get`
        view.get().await.unwrap();
        let newer = cache.refresh().await.unwrap();
        view.get().await.unwrap();
        cache.invalidate(&newer);
        assert!(view.convert(&late).is_none());
        assert_eq!(converted.load(Ordering::SeqCst), 2);
    }
}
