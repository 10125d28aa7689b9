//! [`TokenCaches`]: one cache per key.

use std::cmp::Reverse;
use std::fmt;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future;
use papaya::HashMap;
use tokio::sync::oneshot;

use self::entry::Entry;
use crate::cache::TokenCache;
use crate::clock::{AnyClock, Clock};
use crate::error::Error;
use crate::rt::{Background, Mutex, lock};
use crate::status::{FetchState, Freshness};

mod builder;
mod entry;

pub use self::builder::TokenCachesBuilder;

/// One [`TokenCache`] per key: a tenant, an installation, a scope, or a table with its own credentials.
///
/// Each key has its own source, and all promises of a cache hold for each key. A key is kept while its
/// [cache](Self::cache) is held, or a caller waits for it, and for some time after its last read
/// ([`idle`](TokenCachesBuilder::idle)). The number of keys can be [limited](TokenCachesBuilder::max_keys), and so can the
/// fetches of all keys, for [their rate](TokenCachesBuilder::fetches_per_second) and
/// [at the same time](TokenCachesBuilder::concurrent_fetches).
///
/// Clones share the keys. A hit takes no lock.
///
/// ```
/// # use std::io;
/// # use std::time::Duration;
/// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::Error> {
/// let tenants = TokenCaches::builder(|tenant: &String| {
///     let tenant = tenant.clone();
///     source_fn(move || {
///         let tenant = tenant.clone();
///         async move {
///             // Ask the issuer here.
///             Ok::<_, io::Error>(TemporaryToken::expires_in(format!("token of {tenant}"), Duration::from_secs(3600)))
///         }
///     })
/// })
/// .fetches_per_second(100)
/// .build();
///
/// assert_eq!(*tenants.get(&"acme".to_owned()).await?, "token of acme");
/// # Ok(())
/// # }
/// ```
pub struct TokenCaches<K, T> {
    shared: Arc<Shared<K, T>>,
}

/// Makes what belongs to a key.
type ByKey<K, R> = Box<dyn Fn(&K) -> R + Send + Sync>;

struct Shared<K, T> {
    entries: HashMap<K, Arc<Entry<T>>>,
    new_cache: ByKey<K, TokenCache<T>>,
    clock: AnyClock,
    idle: Duration,
    max_keys: usize,
    /// Held while a key is added or removed, so that none is removed that a caller has just got.
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Of the task that removes idle keys, which ends when this is dropped.
    sweeper: Option<oneshot::Sender<()>>,
}

/// The state of all caches at one moment, from [`TokenCaches::status`]. It contains no token and no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachesStatus {
    /// The number of keys.
    pub keys: usize,
    /// How many of them have a token that has not expired.
    pub valid: usize,
    /// How many are [`Fresh`](Freshness::Fresh).
    pub fresh: usize,
    /// How many wait for the start of a fetch: for its interval, or for its turn.
    pub waiting: usize,
    /// How many fetch.
    pub fetching: usize,
    /// How many failed in their last fetch.
    pub failing: usize,
}

impl<K, T> TokenCaches<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Returns a token of `key` that has not expired. Otherwise as [`TokenCache::get`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// assert_eq!(*tenants.get(&"acme").await?, "acme");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, key: &K) -> Result<Arc<T>, Error> {
        match self.hit(key, Duration::ZERO) {
            Some(token) => Ok(token),
            // Boxed, so that the future of a hit is small. The cache is held until it has answered.
            None => Box::pin(async { self.cache(key).get().await }).await,
        }
    }

    /// Returns a token of `key` that is valid for at least `min_remaining`. Otherwise as [`TokenCache::get_valid_for`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::get_valid_for`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// assert_eq!(*tenants.get_valid_for(&"acme", Duration::from_secs(600)).await?, "acme");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_valid_for(&self, key: &K, min_remaining: Duration) -> Result<Arc<T>, Error> {
        match self.hit(key, min_remaining) {
            Some(token) => Ok(token),
            None => Box::pin(async { self.cache(key).get_valid_for(min_remaining).await }).await,
        }
    }

    /// Returns the cache of `key`, and creates it for a new key. The key is kept while the cache is held, also by a
    /// [`View`](crate::View).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// let acme = tenants.cache(&"acme");
    /// assert_eq!(*acme.get().await?, "acme");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cache(&self, key: &K) -> TokenCache<T> {
        let entry = self.entry(key);
        // Without the lock, because this calls a function of the user.
        entry.cache_or_init(|| (self.shared.new_cache)(key)).clone()
    }

    /// Rejects a token of `key`. Does nothing for an unknown key. Otherwise as [`TokenCache::invalidate`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// let token = tenants.get(&"acme").await?;
    /// tenants.invalidate(&"acme", &token);
    /// assert_eq!(tenants.status().valid, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate(&self, key: &K, token: &Arc<T>) {
        if let Some(cache) = self.existing(key) {
            cache.invalidate(token);
        }
    }

    /// Rejects a token of `key`, and waits for another one. Otherwise as [`TokenCache::replace`].
    ///
    /// # Errors
    ///
    /// As [`TokenCache::replace`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// let token = tenants.get(&"acme").await?;
    /// // After a service has answered 401. Waits for the pacing, and for another token.
    /// let another = tenants.replace(&"acme", &token).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replace(&self, key: &K, token: &Arc<T>) -> Result<Arc<T>, Error> {
        self.cache(key).replace(token).await
    }

    /// Removes a key with its token, for a tenant that is gone. Those who hold its cache keep it, but a later call creates
    /// another one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// tenants.get(&"acme").await?;
    /// tenants.remove(&"acme");
    /// assert!(tenants.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove(&self, key: &K) {
        let removed = {
            let _changes = lock(&self.shared.changes);
            self.shared.entries.pin().remove(key).cloned()
        };
        close(removed);
    }

    /// Returns the number of keys.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// tenants.get(&"acme").await?;
    /// assert_eq!(tenants.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.entries.len()
    }

    /// Returns whether there are no keys.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// assert!(tenants.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the state of all caches. Takes the lock of each cache for a moment.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::{TemporaryToken, TokenCaches, source_fn};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let tenants = TokenCaches::builder(|tenant: &&'static str| {
    /// #     let token = *tenant;
    /// #     source_fn(move || async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) })
    /// # })
    /// # .build();
    /// tenants.get(&"acme").await?;
    /// assert_eq!((tenants.status().keys, tenants.status().fresh), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn status(&self) -> CachesStatus {
        let mut total = CachesStatus::default();
        for entry in self.shared.entries.pin().values() {
            total.keys += 1;
            let Some(status) = entry.cache().map(TokenCache::status) else { continue };
            total.valid += usize::from(!matches!(status.freshness, Freshness::Empty | Freshness::Expired));
            total.fresh += usize::from(status.freshness == Freshness::Fresh);
            total.waiting += usize::from(status.fetch == FetchState::Waiting);
            total.fetching += usize::from(status.fetch == FetchState::Running);
            total.failing += usize::from(status.failures > 0);
        }
        total
    }

    #[inline]
    fn hit(&self, key: &K, min_remaining: Duration) -> Option<Arc<T>> {
        let entries = self.shared.entries.pin();
        let entry = entries.get(key)?;
        let (token, tick) = entry.cache()?.inner.hit_with_tick(min_remaining)?;
        entry.touch(tick, &self.shared.clock);
        Some(token)
    }

    fn existing(&self, key: &K) -> Option<TokenCache<T>> {
        let _changes = lock(&self.shared.changes);
        self.shared.entries.pin().get(key)?.cache().cloned()
    }

    /// The entry of `key`, which is not removed while it is held.
    fn entry(&self, key: &K) -> Arc<Entry<T>> {
        let shared = &self.shared;
        let (entry, removed) = {
            let mut changes = lock(&shared.changes);
            let entries = shared.entries.pin();
            if let Some(entry) = entries.get(key) {
                entry.touch(0, &shared.clock);
                return Arc::clone(entry);
            }
            let removed = if entries.len() < shared.max_keys { Vec::new() } else { shared.remove_least_recent() };
            let entry = Arc::new(Entry::new(&shared.clock));
            entries.insert(key.clone(), Arc::clone(&entry));
            if changes.sweeper.as_ref().is_none_or(oneshot::Sender::is_closed) {
                changes.sweeper = Shared::spawn_sweeper(shared);
            }
            (entry, removed)
        };
        close(removed);
        entry
    }
}

impl<K, T> Shared<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Makes room for a new key: removes those that were read least recently, and are not held. Some more than one, so that
    /// adding many keys does not look at all of them each time.
    fn remove_least_recent(&self) -> Vec<Arc<Entry<T>>> {
        let entries = self.entries.pin();
        let mut unheld: Vec<_> =
            entries.iter().filter(|(_, entry)| !is_held(entry)).map(|(key, entry)| (entry.last_read(), key)).collect();
        unheld.sort_unstable_by_key(|&(last_read, _)| Reverse(last_read));
        let excess = (entries.len() + 1).saturating_sub(self.max_keys) + self.max_keys / 16;
        let first = unheld.len().saturating_sub(excess.max(1));
        unheld.drain(first..).filter_map(|(_, key)| entries.remove(key).cloned()).collect()
    }

    fn remove_idle(&self) -> Vec<Arc<Entry<T>>> {
        let (entries, now) = (self.entries.pin(), self.clock.now().monotonic());
        let is_idle = |entry: &Entry<T>| now.saturating_sub(entry.last_read()) >= self.idle;
        let idle: Vec<_> =
            entries.iter().filter(|(_, entry)| !is_held(entry) && is_idle(entry)).map(|(key, _)| key).collect();
        idle.into_iter().filter_map(|key| entries.remove(key).cloned()).collect()
    }

    /// Starts a task that removes idle keys as long as there are keys. `None` if it cannot be started.
    fn spawn_sweeper(shared: &Arc<Self>) -> Option<oneshot::Sender<()>> {
        let timers = Background::timers()?;
        let (weak, driver) = (Arc::downgrade(shared), Arc::clone(&timers));
        let (sweeper, dropped) = oneshot::channel();
        let (clock, period) = (shared.clock.clone(), (shared.idle / 2).max(MIN_PERIOD));
        let mut next = clock.now().monotonic().saturating_add(period);
        timers.spawn(async move {
            let sweep = async {
                loop {
                    clock.sleep_until(next).await;
                    if weak.upgrade().is_none_or(|shared| shared.sweep()) {
                        return;
                    }
                    next = next.saturating_add(period);
                }
            };
            future::select(pin!(sweep), dropped).await;
            // Until here, so that the task is driven.
            drop(driver);
        });
        Some(sweeper)
    }

    /// Removes idle keys. Whether there are no others.
    fn sweep(&self) -> bool {
        let (removed, ended) = {
            let mut changes = lock(&self.changes);
            let removed = self.remove_idle();
            (removed, changes.sweeper.take_if(|_| self.entries.is_empty()))
        };
        close(removed);
        ended.is_some()
    }
}

/// Whether somebody besides the map has the entry or its cache. Called under the lock, so that nobody gets it from the map.
fn is_held<T: Send + Sync + 'static>(entry: &Arc<Entry<T>>) -> bool {
    Arc::strong_count(entry) > 1 || entry.is_in_use()
}

/// The map releases what was removed from it at some later time, so the tokens are dropped here. Without the lock, because
/// that runs destructors of the user.
fn close<T: Send + Sync + 'static>(removed: impl IntoIterator<Item = Arc<Entry<T>>>) {
    removed
        .into_iter()
        .filter(|entry| !entry.is_in_use())
        .filter_map(|entry| entry.cache().cloned())
        .for_each(|cache| cache.close());
}

/// How often idle keys are looked for, if they are removed sooner.
const MIN_PERIOD: Duration = Duration::from_millis(100);

impl<K, T> Clone for TokenCaches<K, T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, T> UnwindSafe for TokenCaches<K, T> {}
impl<K, T> RefUnwindSafe for TokenCaches<K, T> {}

impl<K, T> fmt::Debug for TokenCaches<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCaches").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
