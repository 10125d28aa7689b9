//! [`Entry`]: the cache of one key, and when it was last read.

use std::sync::OnceLock;
use std::time::Duration;

use crate::cache::TokenCache;
use crate::clock::{AnyClock, Clock};
use crate::rt::{AtomicU64, Ordering};

pub(super) struct Entry<T> {
    /// Empty until the first caller has created it.
    cache: OnceLock<TokenCache<T>>,
    /// The tick of the clock in which `last_read` was set. Zero: without a tick.
    tick: AtomicU64,
    /// In nanoseconds of monotonic time. Relaxed is enough: nothing follows from it for other data.
    last_read: AtomicU64,
}

impl<T: Send + Sync + 'static> Entry<T> {
    pub(super) fn new(clock: &impl Clock) -> Self {
        let entry = Self { cache: OnceLock::new(), tick: AtomicU64::new(0), last_read: AtomicU64::new(0) };
        entry.set_last_read(clock);
        entry
    }

    pub(super) fn cache(&self) -> Option<&TokenCache<T>> {
        self.cache.get()
    }

    pub(super) fn cache_or_init(&self, create: impl FnOnce() -> TokenCache<T>) -> &TokenCache<T> {
        self.cache.get_or_init(create)
    }

    /// Records a read in a tick of the clock, which is zero if it is unknown. Writes to memory once per tick.
    #[inline]
    pub(super) fn touch(&self, tick: u64, clock: &AnyClock) {
        if tick == 0 || self.tick.load(Ordering::Relaxed) != tick {
            self.tick.store(tick, Ordering::Relaxed);
            self.set_last_read(clock);
        }
    }

    fn set_last_read(&self, clock: &impl Clock) {
        let now = u64::try_from(clock.now().monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.last_read.store(now, Ordering::Relaxed);
    }

    /// When it was last read, in monotonic time.
    pub(super) fn last_read(&self) -> Duration {
        Duration::from_nanos(self.last_read.load(Ordering::Relaxed))
    }

    /// Whether somebody has a handle of the cache, or creates it.
    pub(super) fn is_in_use(&self) -> bool {
        self.cache.get().is_none_or(TokenCache::is_shared)
    }
}
