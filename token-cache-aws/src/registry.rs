//! [`Registry`]: one cache per identity.

mod pending;

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::cache::{AwsTokenCache, WeakAwsTokenCache};
use crate::identity::IdentitySpec;
use crate::registry::pending::PendingCaches;

/// Keeps one cache per [`IdentitySpec`], as long as the cache is in use.
///
/// A request for an identity in use returns the existing cache. The identities that a chain of roles goes through are
/// in the registry too, so no identity has two caches.
///
/// The registry holds weak references: a cache is dropped with its last user. The number of caches in use is limited.
/// A full registry returns an error, because evicting a cache in use would give its identity a second one.
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
    caches: Mutex<HashMap<IdentitySpec, WeakAwsTokenCache>>,
    pending: PendingCaches,
}

impl Registry {
    /// An empty registry for at most `capacity` caches in use.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, caches: Mutex::default(), pending: PendingCaches::default() }
    }

    /// The registry of this process, for at most 10,000 caches in use. It contains the cache of
    /// [`AwsTokenCache::try_new`].
    #[must_use]
    pub fn process() -> &'static Self {
        static PROCESS: LazyLock<Registry> = LazyLock::new(|| Registry::new(10_000));
        &PROCESS
    }

    /// Returns the cache of `identity`: the one in use, or a new one with the defaults of [`builder`](crate::builder).
    ///
    /// This may read files and query the instance metadata service for a region, but fetches no credentials. Concurrent
    /// callers of one new identity share that work. It is cancel safe.
    ///
    /// # Errors
    ///
    /// If the registry is full and `identity`, or an identity its roles go through, has no cache in use.
    pub async fn get(&self, identity: &IdentitySpec) -> Result<AwsTokenCache, RegistryFull> {
        if let Some(cache) = self.find(identity) {
            return Ok(cache);
        }
        self.pending.get_or_init(identity, || self.create(identity)).await
    }

    async fn create(&self, identity: &IdentitySpec) -> Result<AwsTokenCache, RegistryFull> {
        let cache = match identity.split_last_role() {
            // Boxed because it recurses.
            Some((base, role)) => Box::pin(self.get(&base)).await?.assume_role(role).await,
            None => match &identity.profile {
                Some(name) => AwsTokenCache::from_profile(name).await,
                None => AwsTokenCache::from_env().await,
            },
        };
        self.get_or_insert(identity, cache)
    }

    /// The number of caches in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().filter(|cache| cache.is_alive()).count()
    }

    /// Whether no cache is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, identity: &IdentitySpec) -> Option<AwsTokenCache> {
        self.lock().get_mut(identity)?.upgrade()
    }

    /// Inserts `cache`, which was made without the lock, unless another caller inserted one first. Nothing has been
    /// fetched with it yet, so dropping it costs nothing.
    pub(crate) fn get_or_insert(
        &self,
        identity: &IdentitySpec,
        cache: AwsTokenCache,
    ) -> Result<AwsTokenCache, RegistryFull> {
        let mut caches = self.lock();
        if let Some(existing) = caches.get_mut(identity).and_then(WeakAwsTokenCache::upgrade) {
            return Ok(existing);
        }
        if caches.len() >= self.capacity {
            caches.retain(|_, cache| cache.is_alive());
        }
        if caches.len() >= self.capacity {
            return Err(RegistryFull { capacity: self.capacity });
        }
        caches.insert(identity.clone(), cache.downgrade());
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IdentitySpec, WeakAwsTokenCache>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("capacity", &self.capacity).field("in_use", &self.len()).finish()
    }
}

/// A [`Registry`] has reached its capacity.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the registry is full with {capacity} caches in use; drop some, or create a larger one with Registry::new")]
#[non_exhaustive]
pub struct RegistryFull {
    capacity: usize,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;

    use super::*;
    use crate::role::AssumeRole;

    fn cache() -> AwsTokenCache {
        AwsTokenCache::from_provider(Credentials::new("key", "secret", None, None, "test"))
    }

    fn role(n: u32) -> IdentitySpec {
        IdentitySpec::from_env().assume_role(AssumeRole::new(format!("arn:aws:iam::123456789012:role/{n}")))
    }

    fn is_same(a: &AwsTokenCache, b: &AwsTokenCache) -> bool {
        a.downgrade().ptr_eq(&b.downgrade())
    }

    #[test]
    fn first_of_two_concurrent_inserts_wins() {
        let registry = Registry::new(2);
        let first = registry.get_or_insert(&role(1), cache()).unwrap();
        let second = registry.get_or_insert(&role(1), cache()).unwrap();
        assert!(is_same(&first, &second) && is_same(&first, &registry.find(&role(1)).unwrap()));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn full_registry_fails_and_evicts_nothing_in_use() {
        let registry = Registry::new(2);
        let held = [1, 2].map(|n| registry.get_or_insert(&role(n), cache()).unwrap());
        let error = registry.get_or_insert(&role(3), cache()).unwrap_err();
        assert!(error.to_string().contains("2 caches in use"), "{error}");
        assert!(is_same(&held[0], &registry.find(&role(1)).unwrap()));

        drop(held);
        assert!(registry.is_empty());
        let third = registry.get_or_insert(&role(3), cache()).unwrap();
        assert!(is_same(&third, &registry.find(&role(3)).unwrap()));
        assert_eq!(registry.lock().len(), 1, "entries not in use are removed");
    }

    #[test]
    fn inner_cache_alone_counts_as_in_use() {
        let registry = Registry::new(1);
        let inner = registry.get_or_insert(&role(1), cache()).unwrap().cache().clone();
        let found = registry.find(&role(1)).expect("still in use");
        assert!(is_same(&found, &registry.find(&role(1)).unwrap()));
        drop((inner, found));
        assert!(registry.find(&role(1)).is_none());
    }

    #[test]
    fn identities_differ_by_everything_that_shapes_a_session() {
        let arn = "arn:aws:iam::123456789012:role/reader";
        let variants = [
            AssumeRole::new(arn),
            AssumeRole::new(arn).external_id("7"),
            AssumeRole::new(arn).session_name("job"),
            AssumeRole::new(arn).duration(Duration::from_secs(900)),
            AssumeRole::new(arn).policy("{}"),
            AssumeRole::new(arn).policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ];
        let registry = Registry::new(100);
        let mut held = Vec::new();
        for base in [IdentitySpec::from_env(), IdentitySpec::profile("a"), IdentitySpec::profile("b")] {
            held.push(registry.get_or_insert(&base, cache()).unwrap());
            for variant in &variants {
                held.push(registry.get_or_insert(&base.clone().assume_role(variant.clone()), cache()).unwrap());
            }
        }
        assert_eq!(registry.len(), 3 * 7);
        let printed =
            format!("{:?}", IdentitySpec::from_env().assume_role(variants[1].clone().external_id("tenant-secret")));
        assert!(printed.contains(arn) && !printed.contains("tenant-secret"), "{printed}");
    }
}
