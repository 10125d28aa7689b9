//! Everything that comes from tokio or std and has a counterpart in loom: tasks, threads, locks, atomics and notifications.
//!
//! `--cfg token_cache_loom` selects loom's, whose every step the model checker sees. It is not `--cfg loom`, because tokio
//! reacts to that too.

pub(crate) use tokio::sync::watch;

#[cfg(not(token_cache_loom))]
mod background;
#[cfg(token_cache_loom)]
mod loom;
#[cfg(not(token_cache_loom))]
mod std;

#[cfg(token_cache_loom)]
use self::loom as imp;
#[cfg(token_cache_loom)]
pub use self::loom::block_on;
#[cfg(not(token_cache_loom))]
use self::std as imp;

pub(crate) use self::imp::{
    AsyncMutex, AtomicArc, AtomicU64, Background, Mutex, Ordering, Runtime, SetOnce, Task, grace_period, in_async_task,
    sleep_until,
};
#[cfg(not(token_cache_loom))]
pub(crate) use self::std::block_on;

/// Locks a mutex whose data stays consistent if a holder panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> imp::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(::std::sync::PoisonError::into_inner)
}
