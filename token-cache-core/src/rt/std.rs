//! tokio, std and arc-swap.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

/// A shared value that is read without a lock.
pub(crate) use arc_swap::ArcSwapOption as AtomicArc;
use tokio::runtime::{Handle, Id};
pub(crate) use tokio::sync::SetOnce;
use tokio::task::AbortHandle;

/// A tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtime(Handle);

/// A spawned task.
#[derive(Debug)]
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
