//! [`Registry`]: one cache per identity.

mod entry;
mod pending;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use token_cache_core::{Clock, SystemClock};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::cache::AwsTokenCache;
use crate::identity::{Base, IdentitySpec};
use crate::registry::entry::Entry;
use crate::registry::pending::PendingCaches;

/// Keeps one cache per [`IdentitySpec`], while it is held and for some time after its last lookup.
///
/// A lookup of a known identity returns the existing cache, so that a program can look it up for each request and hold
/// nothing. The identities that a chain of roles goes through are in the registry too, so no identity has two caches.
///
/// A cache is kept for one hour after its last lookup ([`idle`](Self::idle)), and longer if somebody holds it. The number
/// of caches is limited: a new one replaces the one that was looked up least recently and that nobody holds. If all are
/// held, the registry is full, because a second cache for an identity would fetch twice.
///
/// ```no_run
/// use token_cache_aws::{AssumeRole, IdentitySpec, Registry};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let tenant = IdentitySpec::from_env().assume_role(AssumeRole::new("arn:aws:iam::222222222222:role/tenant-7"));
/// let aws = Registry::process().get(&tenant).await?;
/// # Ok(())
/// # }
/// ```
pub struct Registry {
    shared: Arc<Shared>,
    idle: Duration,
    clock: Arc<dyn Clock>,
    pending: PendingCaches,
}

struct Shared {
    capacity: usize,
    caches: Mutex<Caches>,
}

#[derive(Default)]
struct Caches {
    entries: HashMap<IdentitySpec, Entry>,
    /// Releases the caches that were not looked up for some time.
    sweeper: Option<JoinHandle<()>>,
}

impl Registry {
    /// An empty registry for at most `capacity` caches.
    ///
    /// ```
    /// # use token_cache_aws::{AwsTokenCache, IdentitySpec, Registry};
    /// let registry = Registry::new(1000);
    /// assert!(registry.is_empty());
    /// ```
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shared = Arc::new(Shared { capacity, caches: Mutex::default() });
        let (idle, clock) = (Duration::from_secs(3600), Arc::new(SystemClock::new()));
        Self { shared, idle, clock, pending: PendingCaches::default() }
    }

    /// Sets how long a cache is kept after its last lookup, if nobody holds it. Default: 1 hour, the default duration of a
    /// session of a role.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_aws::{AwsTokenCache, IdentitySpec, Registry};
    /// let registry = Registry::new(1000).idle(Duration::from_secs(600));
    /// ```
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The registry of this process, for at most 10,000 caches. It contains the cache of [`AwsTokenCache::process`].
    ///
    /// ```
    /// # use token_cache_aws::{AwsTokenCache, IdentitySpec, Registry};
    /// let registry = Registry::process();
    /// ```
    #[must_use]
    pub fn process() -> &'static Self {
        static PROCESS: LazyLock<Registry> = LazyLock::new(|| Registry::new(10_000));
        &PROCESS
    }

    /// Adds a cache that was made in code, from a provider or an `SdkConfig`, and returns its identity, which roles can be
    /// added to. A cache of the same name is replaced. It is kept as long as the registry, or until it is
    /// [removed](Self::remove).
    ///
    /// ```no_run
    /// use token_cache_aws::{AssumeRole, AwsTokenCache, Registry};
    ///
    /// # async fn example(config: aws_types::SdkConfig) -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Registry::process().insert("hub", AwsTokenCache::from_sdk_config(&config)?);
    /// let tenant = hub.assume_role(AssumeRole::new("arn:aws:iam::222222222222:role/tenant-7"));
    /// let aws = Registry::process().get(&tenant).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert(&self, name: impl Into<String>, cache: AwsTokenCache) -> IdentitySpec {
        let identity = IdentitySpec::of(Base::Inserted(name.into()));
        let replaced = self.shared.lock().entries.insert(identity.clone(), Entry::permanent(cache));
        drop(replaced);
        identity
    }

    /// Removes the cache of `identity`. Those who hold it keep it, but a later lookup makes another one.
    ///
    /// ```
    /// # use token_cache_aws::Registry;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let registry = Registry::new(1000);
    /// let vended = registry.insert("vended", aws);
    /// registry.remove(&vended);
    /// assert!(registry.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove(&self, identity: &IdentitySpec) {
        let removed = self.shared.lock().entries.remove(identity);
        drop(removed);
    }

    /// Returns the cache of `identity`: the existing one, or a new one with the defaults of [`AwsTokenCache::builder`].
    ///
    /// This may read files and query the instance metadata service for a region, but fetches no credentials. Concurrent
    /// callers of one new identity share that work. It is cancel safe.
    ///
    /// # Errors
    ///
    /// If the registry is full, or no cache of the name was [inserted](Self::insert).
    ///
    /// ```
    /// # use token_cache_aws::{AssumeRole, Registry};
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let registry = Registry::new(1000);
    /// let role = registry.insert("hub", aws).assume_role(AssumeRole::new("arn:aws:iam::222222222222:role/reader"));
    /// let credentials = registry.get(&role).await?.get().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, identity: &IdentitySpec) -> Result<AwsTokenCache, RegistryError> {
        if let Some(cache) = self.find(identity) {
            return Ok(cache);
        }
        self.pending.get_or_init(identity, || self.create(identity)).await
    }

    async fn create(&self, identity: &IdentitySpec) -> Result<AwsTokenCache, RegistryError> {
        let cache = match (identity.split_last_role(), &identity.base) {
            // Boxed because it recurses.
            (Some((base, role)), _) => Box::pin(self.get(&base)).await?.assume_role(role).await,
            (None, Base::Environment) => AwsTokenCache::from_env().await,
            (None, Base::Profile(name)) => AwsTokenCache::from_profile(name).await,
            (None, Base::Inserted(name)) => return Err(RegistryError::Unknown { name: name.clone() }),
        };
        self.get_or_insert(identity, cache)
    }

    /// The number of caches.
    ///
    /// ```
    /// # use token_cache_aws::Registry;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let registry = Registry::new(1000);
    /// registry.insert("vended", aws);
    /// assert_eq!(registry.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().entries.values().filter(|entry| entry.is_alive()).count()
    }

    /// Whether there are no caches.
    ///
    /// ```
    /// # use token_cache_aws::{AwsTokenCache, IdentitySpec, Registry};
    /// assert!(Registry::new(1000).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, identity: &IdentitySpec) -> Option<AwsTokenCache> {
        let mut caches = self.shared.lock();
        let found = caches.entries.get_mut(identity)?.look_up(self.now());
        self.ensure_swept(&mut caches);
        found
    }

    /// Inserts `cache`, which was made without the lock, unless another caller inserted one first. Nothing has been
    /// fetched with it yet, so dropping it costs nothing.
    pub(crate) fn get_or_insert(
        &self,
        identity: &IdentitySpec,
        cache: AwsTokenCache,
    ) -> Result<AwsTokenCache, RegistryError> {
        let mut caches = self.shared.lock();
        let now = self.now();
        if let Some(existing) = caches.entries.get_mut(identity).and_then(|entry| entry.look_up(now)) {
            return Ok(existing);
        }
        if caches.entries.len() >= self.shared.capacity {
            caches.make_room(self.shared.capacity);
        }
        if caches.entries.len() >= self.shared.capacity {
            return Err(RegistryError::Full { capacity: self.shared.capacity });
        }
        caches.entries.insert(identity.clone(), Entry::new(cache.clone(), now));
        self.ensure_swept(&mut caches);
        Ok(cache)
    }

    fn now(&self) -> Duration {
        self.clock.now().monotonic()
    }

    /// Starts the sweeper, unless it runs or there is no runtime.
    fn ensure_swept(&self, caches: &mut Caches) {
        if caches.sweeper.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            caches.sweeper =
                Some(runtime.spawn(sweep(Arc::downgrade(&self.shared), Arc::clone(&self.clock), self.idle)));
        }
    }
}

/// Releases idle caches, until there are none.
async fn sweep(shared: Weak<Shared>, clock: Arc<dyn Clock>, idle: Duration) {
    loop {
        let next = clock.now().monotonic().saturating_add((idle / 2).max(MIN_PERIOD));
        clock.sleep_until(next).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut caches = shared.lock();
        let now = clock.now().monotonic();
        caches.entries.values_mut().for_each(|entry| entry.release_idle(now, idle));
        caches.entries.retain(|_, entry| entry.is_alive());
        if caches.entries.is_empty() {
            return;
        }
    }
}

/// How often idle caches are looked for, if they are released sooner.
const MIN_PERIOD: Duration = Duration::from_secs(1);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caches {
    /// Releases caches, those that were looked up least recently first, until one can be added.
    fn make_room(&mut self, capacity: usize) {
        self.entries.retain(|_, entry| entry.is_alive());
        let mut by_age: Vec<_> =
            self.entries.iter().map(|(identity, entry)| (entry.last_lookup(), identity.clone())).collect();
        by_age.sort_by_key(|(last_lookup, _)| *last_lookup);
        for (_, identity) in by_age {
            if self.entries.len() < capacity {
                return;
            }
            if let Some(entry) = self.entries.get_mut(&identity) {
                entry.release();
                // A role keeps those that it goes through.
                self.entries.retain(|_, entry| entry.is_alive());
            }
        }
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        if let Some(sweeper) = &self.sweeper {
            sweeper.abort();
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("capacity", &self.shared.capacity)
            .field("caches", &self.len())
            .finish_non_exhaustive()
    }
}

/// Why a [`Registry`] returns no cache.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// All of its caches are held.
    #[error(
        "the registry is full: all of its {capacity} caches are held; drop some, or create a larger one with Registry::new"
    )]
    #[non_exhaustive]
    Full {
        /// The number of caches.
        capacity: usize,
    },
    /// No cache of this name was inserted.
    #[error("the registry has no cache with the name {name:?}: add it with Registry::insert")]
    #[non_exhaustive]
    Unknown {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests;
