//! [`pushed`]: a source whose tokens another process sends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, permanent};
use tokio::sync::Notify;

use crate::error::FleetError;

/// Creates a source that returns what the [`Pusher`] gets: for workers that have no credentials of their own, and whose driver
/// sends them tokens.
///
/// A fetch returns the newest token that was pushed since the last one, or waits for the next. So a worker refreshes when its
/// driver does, and a rejected token is replaced by the next push.
///
/// ```
/// # use std::time::Duration;
/// use token_cache_core::{TemporaryToken, TokenCache};
/// use token_cache_fleet::pushed;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::Error> {
/// let (pusher, source) = pushed();
/// let cache = TokenCache::builder(source).build();
/// pusher.push(TemporaryToken::expires_in("token", Duration::from_secs(3600))); // for each message of the driver
/// assert_eq!(*cache.get().await?, "token");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn pushed<T: Send + Sync + 'static>() -> (Pusher<T>, PushedSource<T>) {
    let shared =
        Arc::new(Shared { newest: Mutex::new(Newest { token: None, is_closed: false }), changed: Notify::new() });
    (Pusher(Arc::clone(&shared)), PushedSource(shared))
}

/// Gives tokens to the [`PushedSource`] that was created with it.
pub struct Pusher<T>(Arc<Shared<T>>);

impl<T> Pusher<T> {
    /// Gives the source a token. It replaces one that was not fetched yet. The lifetime of a token with
    /// [`expires_in`](TemporaryToken::expires_in) counts from the fetch, so a driver should send the time of the expiry.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCache};
    /// # use token_cache_fleet::pushed;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (pusher, source) = pushed();
    /// let cache = TokenCache::builder(source).build();
    /// pusher.push(TemporaryToken::expires_in("token", Duration::from_secs(3600)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn push(&self, token: TemporaryToken<T>) {
        let replaced = self.0.newest().token.replace(token);
        self.0.changed.notify_one();
        // Not under the lock: its destructor is the caller's.
        drop(replaced);
    }
}

impl<T> Drop for Pusher<T> {
    fn drop(&mut self) {
        self.0.newest().is_closed = true;
        self.0.changed.notify_one();
    }
}

/// The source that [`pushed`] creates, for one cache.
pub struct PushedSource<T>(Arc<Shared<T>>);

#[async_trait]
impl<T: Send + Sync + 'static> TokenSource for PushedSource<T> {
    type Token = T;

    async fn fetch(&self) -> Result<TemporaryToken<T>, BoxError> {
        loop {
            {
                let mut newest = self.0.newest();
                if let Some(token) = newest.token.take() {
                    return Ok(token);
                }
                if newest.is_closed {
                    return Err(permanent(FleetError::NoPusher));
                }
            }
            self.0.changed.notified().await;
        }
    }
}

struct Shared<T> {
    newest: Mutex<Newest<T>>,
    changed: Notify,
}

struct Newest<T> {
    token: Option<TemporaryToken<T>>,
    is_closed: bool,
}

impl<T> Shared<T> {
    fn newest(&self) -> MutexGuard<'_, Newest<T>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Pusher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for PushedSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedSource").finish_non_exhaustive()
    }
}
