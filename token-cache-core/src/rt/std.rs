//! tokio and std.

use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

use arc_swap::ArcSwapOption;
use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;

/// A shared value that is read without a lock.
pub(crate) struct AtomicArc<T>(ArcSwapOption<T>);

impl<T> AtomicArc<T> {
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

/// A value that is set once, and can be awaited.
#[derive(Debug)]
pub(crate) struct SetOnce<T>(tokio::sync::SetOnce<T>);

impl<T: Clone> SetOnce<T> {
    pub(crate) fn new() -> Self {
        Self(tokio::sync::SetOnce::new())
    }

    /// The first value counts.
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(value);
    }

    pub(crate) fn get(&self) -> Option<T> {
        self.0.get().cloned()
    }

    pub(crate) async fn wait(&self) -> T {
        self.0.wait().await.clone()
    }
}

/// A tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtime(Handle);

/// A spawned task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    abort: AbortHandle,
    runtime: Id,
}

impl Runtime {
    pub(crate) const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The runtime of the caller.
    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        Task { abort: self.0.spawn(task).abort_handle(), runtime: self.0.id() }
    }

    /// Calls `f` inside the runtime: a timer is created in a runtime, and can then be awaited anywhere.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.enter();
        f()
    }
}

impl Task {
    pub(crate) fn is_on(&self, runtime: &Runtime) -> bool {
        self.runtime == runtime.0.id()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }

    pub(crate) fn abort(&self) {
        self.abort.abort();
    }
}
