//! [`Entry`]: a cache of the registry, kept or only known.

use std::time::Duration;

use crate::cache::{AwsTokenCache, WeakAwsTokenCache};

pub(super) struct Entry {
    /// Finds a released cache that somebody holds.
    weak: WeakAwsTokenCache,
    kept: Option<AwsTokenCache>,
    /// In monotonic time. `None`: it is never released.
    last_lookup: Option<Duration>,
}

impl Entry {
    pub(super) fn new(cache: AwsTokenCache, now: Duration) -> Self {
        Self { weak: cache.downgrade(), kept: Some(cache), last_lookup: Some(now) }
    }

    pub(super) fn permanent(cache: AwsTokenCache) -> Self {
        Self { weak: cache.downgrade(), kept: Some(cache), last_lookup: None }
    }

    /// The cache, which is kept from now on.
    pub(super) fn look_up(&mut self, now: Duration) -> Option<AwsTokenCache> {
        let cache = self.weak.upgrade()?;
        self.last_lookup = self.last_lookup.map(|_| now);
        Some(self.kept.insert(cache).clone())
    }

    pub(super) fn is_alive(&self) -> bool {
        self.kept.is_some() || self.weak.is_alive()
    }

    /// Those that are never released come last.
    pub(super) fn last_lookup(&self) -> (bool, Option<Duration>) {
        (self.last_lookup.is_none(), self.last_lookup)
    }

    pub(super) fn release(&mut self) {
        if self.last_lookup.is_some() {
            self.kept = None;
        }
    }

    pub(super) fn release_idle(&mut self, now: Duration, idle: Duration) {
        if self.last_lookup.is_some_and(|last_lookup| now.saturating_sub(last_lookup) >= idle) {
            self.kept = None;
        }
    }
}
