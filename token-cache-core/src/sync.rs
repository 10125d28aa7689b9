//! What is shared between threads, in two makes: the real one, and one whose every step the interleaving check sees.
//!
//! `--cfg token_cache_loom` chooses the second. It is not `--cfg loom`, to which tokio would react too.

#[cfg(not(token_cache_loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard};

    use std::sync::Arc;

    use arc_swap::ArcSwapOption;

    /// One shared value that is read without a lock.
    pub(crate) struct Slot<T>(ArcSwapOption<T>);

    impl<T> Slot<T> {
        pub(crate) fn new(value: Option<T>) -> Self {
            Self(ArcSwapOption::from_pointee(value))
        }

        #[inline]
        pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
            read(self.0.load().as_deref())
        }

        pub(crate) fn swap(&self, value: Option<T>) -> Option<Arc<T>> {
            self.0.swap(value.map(Arc::new))
        }
    }

    /// A place where another thread may come in between. Here that is everywhere.
    #[derive(Debug)]
    pub(crate) struct Gate;

    impl Gate {
        pub(crate) const fn new() -> Self {
            Self
        }

        #[inline]
        pub(crate) const fn pass(&self) {}
    }
}

#[cfg(token_cache_loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    use std::sync::{Arc, PoisonError};

    /// The same contract, atomic by a lock of the model's.
    pub(crate) struct Slot<T>(Mutex<Option<Arc<T>>>);

    impl<T> Slot<T> {
        pub(crate) fn new(value: Option<T>) -> Self {
            Self(Mutex::new(value.map(Arc::new)))
        }

        pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
            let value = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            read(value.as_deref())
        }

        pub(crate) fn swap(&self, value: Option<T>) -> Option<Arc<T>> {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut slot, value.map(Arc::new))
        }
    }

    #[derive(Debug)]
    pub(crate) struct Gate(AtomicUsize);

    impl Gate {
        pub(crate) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }

        pub(crate) fn pass(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) use self::imp::{Gate, Mutex, MutexGuard, Slot};

use self::imp::{AtomicUsize, Ordering};

/// Counts what was put into a slot. Advanced before the slot is changed, it is known to whoever has seen the change.
pub(crate) struct Version(AtomicUsize);

impl Version {
    pub(crate) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn advance(&self) -> usize {
        self.0.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }
}
