//! [`Registry`]: many identities in one process, each with one cache.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use aws_credential_types::Credentials;
use token_cache_core::{Error, WeakTokenCache};
use tokio::sync::OnceCell;

use crate::cache::{AwsTokenCache, WeakAwsTokenCache};
use crate::role::AssumeRole;

/// Whose credentials: those of the environment or of a profile, and the roles that are assumed from there, one by the other.
///
/// ```
/// use token_cache_aws::{AssumeRole, IdentitySpec};
///
/// let tenant = IdentitySpec::profile("hub").assume_role(AssumeRole::new("arn:aws:iam::222222222222:role/tenant-7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentitySpec {
    profile: Option<String>,
    roles: Vec<AssumeRole>,
}

impl IdentitySpec {
    /// Whoever the SDK's default chain finds, as [`AwsTokenCache::from_env`].
    #[must_use]
    pub const fn from_env() -> Self {
        Self { profile: None, roles: Vec::new() }
    }

    /// Whom a profile names, as [`AwsTokenCache::from_profile`].
    #[must_use]
    pub fn profile(name: impl Into<String>) -> Self {
        Self { profile: Some(name.into()), roles: Vec::new() }
    }

    /// The role that is assumed from here, as [`AwsTokenCache::assume_role`].
    #[must_use]
    pub fn assume_role(mut self, role: AssumeRole) -> Self {
        self.roles.push(role);
        self
    }

    /// Who assumes the last role, and that role.
    fn split(&self) -> Option<(Self, &AssumeRole)> {
        let (last, before) = self.roles.split_last()?;
        Some((Self { profile: self.profile.clone(), roles: before.to_vec() }, last))
    }
}

/// Hands out one cache for each [`IdentitySpec`], for as long as anybody holds it.
///
/// Whoever asks for a principal that is in use gets the cache that is there, and the ones that a chain of roles leads through
/// are in the registry too: so no identity has two caches. The registry itself keeps none alive. Its size is bounded, and a
/// full one says so: to make room by forgetting a cache in use would give its identity a second one.
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
    capacity: usize,
    caches: Mutex<HashMap<IdentitySpec, Entry>>,
}

impl Registry {
    /// An empty one, for so many caches in use at a time.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, caches: Mutex::default() }
    }

    /// The registry of this process, for 10,000 caches in use at a time. [`AwsTokenCache::try_new`] is in it.
    #[must_use]
    pub fn process() -> &'static Self {
        static PROCESS: LazyLock<Registry> = LazyLock::new(|| Registry::new(10_000));
        &PROCESS
    }

    /// The cache of `principal`: the one in use, or a new one with the defaults of [`builder`](crate::builder).
    ///
    /// It may read files, and ask the instance metadata service for a region, but fetches no credentials. Dropping the
    /// future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// If there is no room for one more. A principal whose cache is in use is always found.
    pub async fn get(&self, principal: &IdentitySpec) -> Result<AwsTokenCache, RegistryFull> {
        if let Some(cache) = self.find(principal) {
            return Ok(cache);
        }
        let cache = match principal.split() {
            // Boxed, because it is this very function again.
            Some((base, role)) => Box::pin(self.get(&base)).await?.assume_role(role).await,
            None => match &principal.profile {
                Some(name) => AwsTokenCache::from_profile(name).await,
                None => AwsTokenCache::from_env().await,
            },
        };
        self.settle(principal, cache)
    }

    /// How many caches are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().filter(|entry| entry.is_alive()).count()
    }

    /// Whether no cache is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, principal: &IdentitySpec) -> Option<AwsTokenCache> {
        self.lock().get_mut(principal)?.upgrade()
    }

    /// Takes in a cache that was made without the lock, unless somebody else was faster: nothing has been fetched yet, so
    /// the slower one is no loss.
    fn settle(&self, principal: &IdentitySpec, cache: AwsTokenCache) -> Result<AwsTokenCache, RegistryFull> {
        let mut caches = self.lock();
        if let Some(faster) = caches.get_mut(principal).and_then(Entry::upgrade) {
            return Ok(faster);
        }
        if caches.len() >= self.capacity {
            caches.retain(|_, entry| entry.is_alive());
        }
        if caches.len() >= self.capacity {
            return Err(RegistryFull { capacity: self.capacity });
        }
        caches.insert(principal.clone(), Entry::of(&cache));
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IdentitySpec, Entry>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("capacity", &self.capacity).field("in_use", &self.len()).finish()
    }
}

/// A [`Registry`] has as many caches in use as it was made for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the registry has {capacity} caches in use and room for no more; drop some, or make it larger with Registry::new"
)]
#[non_exhaustive]
pub struct RegistryFull {
    capacity: usize,
}

impl AwsTokenCache {
    /// The one instance of this process for what [the environment](Self::from_env) says, with credentials at hand: a start
    /// without any fails here and not at the first request. It lives as long as the process, and is
    /// [`Registry::process`]'s too.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). An error is not kept: the next caller tries again, at the cache's pace.
    pub async fn try_new() -> Result<Self, Error> {
        let shared = Self::of_process().await;
        shared.get().await?;
        Ok(shared)
    }

    /// The region of [the environment](Self::from_env), if it names one: variable, profile or instance metadata. It is read
    /// once a process, and fetches no credentials.
    pub async fn default_region() -> Option<String> {
        Self::of_process().await.region().map(ToOwned::to_owned)
    }

    async fn of_process() -> Self {
        static SHARED: OnceCell<AwsTokenCache> = OnceCell::const_new();
        let make = || async {
            let cache = Self::from_env().await;
            // Full or not: one that is in the registry already is the one to share.
            Registry::process().settle(&IdentitySpec::from_env(), cache.clone()).unwrap_or(cache)
        };
        SHARED.get_or_init(make).await.clone()
    }
}

/// Weak handles of one cache. Somebody may hold on to the [`TokenCache`](token_cache_core::TokenCache) alone, so both count.
struct Entry {
    whole: WeakAwsTokenCache,
    cache: WeakTokenCache<Credentials>,
}

impl Entry {
    fn of(cache: &AwsTokenCache) -> Self {
        Self { whole: cache.downgrade(), cache: cache.cache().downgrade() }
    }

    fn is_alive(&self) -> bool {
        self.cache.upgrade().is_some()
    }

    fn upgrade(&mut self) -> Option<AwsTokenCache> {
        if let Some(whole) = self.whole.upgrade() {
            return Some(whole);
        }
        let whole = self.whole.rebuild(self.cache.upgrade()?);
        self.whole = whole.downgrade();
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> AwsTokenCache {
        AwsTokenCache::from_provider(Credentials::new("key", "secret", None, None, "test"))
    }

    fn role(n: u32) -> IdentitySpec {
        IdentitySpec::from_env().assume_role(AssumeRole::new(format!("arn:aws:iam::123456789012:role/{n}")))
    }

    /// Two handles of one cache.
    fn same(one: &AwsTokenCache, other: &AwsTokenCache) -> bool {
        one.downgrade().is(&other.downgrade())
    }

    #[test]
    fn of_two_who_make_a_cache_at_once_both_get_the_first() {
        let registry = Registry::new(2);
        let first = registry.settle(&role(1), cache()).unwrap();
        let second = registry.settle(&role(1), cache()).unwrap();
        assert!(same(&first, &second) && same(&first, &registry.find(&role(1)).unwrap()));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn a_full_registry_says_so_and_forgets_nobody_in_use() {
        let registry = Registry::new(2);
        let held = [1, 2].map(|n| registry.settle(&role(n), cache()).unwrap());
        let error = registry.settle(&role(3), cache()).unwrap_err();
        assert!(error.to_string().contains("2 caches in use"), "{error}");
        assert!(same(&held[0], &registry.find(&role(1)).unwrap()));

        drop(held);
        assert!(registry.is_empty());
        let third = registry.settle(&role(3), cache()).unwrap();
        assert!(same(&third, &registry.find(&role(3)).unwrap()));
        assert_eq!(registry.lock().len(), 1, "what is not in use was cleared away");
    }

    #[test]
    fn who_holds_the_inner_cache_alone_keeps_it_in_use() {
        let registry = Registry::new(1);
        let inner = registry.settle(&role(1), cache()).unwrap().cache().clone();
        let again = registry.find(&role(1)).expect("still in use");
        assert!(same(&again, &registry.find(&role(1)).unwrap()));
        drop((inner, again));
        assert!(registry.find(&role(1)).is_none());
    }

    #[test]
    fn a_principal_is_told_by_all_that_makes_its_sessions() {
        let arn = "arn:aws:iam::123456789012:role/reader";
        let variants = [
            AssumeRole::new(arn),
            AssumeRole::new(arn).external_id("7"),
            AssumeRole::new(arn).session_name("job"),
            AssumeRole::new(arn).duration(std::time::Duration::from_secs(900)),
            AssumeRole::new(arn).policy("{}"),
            AssumeRole::new(arn).policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ];
        let registry = Registry::new(100);
        let mut held = Vec::new();
        for base in [IdentitySpec::from_env(), IdentitySpec::profile("a"), IdentitySpec::profile("b")] {
            held.push(registry.settle(&base, cache()).unwrap());
            for variant in &variants {
                held.push(registry.settle(&base.clone().assume_role(variant.clone()), cache()).unwrap());
            }
        }
        assert_eq!(registry.len(), 3 * 7);
        let printed =
            format!("{:?}", IdentitySpec::from_env().assume_role(variants[1].clone().external_id("tenant-secret")));
        assert!(printed.contains(arn) && !printed.contains("tenant-secret"), "{printed}");
    }
}
