//! [`WeakAwsTokenCache`]: a handle that does not keep the cache alive.

use std::sync::{Arc, Weak};

use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use token_cache_core::WeakTokenCache;

use super::{AwsTokenCache, Inner};

/// A weak handle for the registry.
///
/// A caller may keep only the [`TokenCache`](token_cache_core::TokenCache) inside and drop the `AwsTokenCache` around
/// it. The cache is still in use then, so this holds a weak reference to both and can make a new `AwsTokenCache`.
pub(crate) struct WeakAwsTokenCache {
    inner: Weak<Inner>,
    cache: WeakTokenCache<Credentials>,
    config: SdkConfig,
}

impl AwsTokenCache {
    pub(crate) fn downgrade(&self) -> WeakAwsTokenCache {
        WeakAwsTokenCache {
            inner: Arc::downgrade(&self.inner),
            cache: self.inner.cache.downgrade(),
            config: self.inner.config.clone(),
        }
    }
}

impl WeakAwsTokenCache {
    pub(crate) fn is_alive(&self) -> bool {
        self.cache.upgrade().is_some()
    }

    pub(crate) fn upgrade(&mut self) -> Option<AwsTokenCache> {
        if let Some(inner) = self.inner.upgrade() {
            return Some(AwsTokenCache { inner });
        }
        let aws = AwsTokenCache::new(self.cache.upgrade()?, &self.config);
        self.inner = Arc::downgrade(&aws.inner);
        Some(aws)
    }

    #[cfg(test)]
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.inner, &other.inner)
    }
}
