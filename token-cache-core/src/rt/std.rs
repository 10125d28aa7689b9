//! tokio, std and arc-swap.

use std::pin::pin;
use std::process;
use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// A shared value that is read without a lock.
pub(crate) use arc_swap::ArcSwapOption as AtomicArc;
use futures::FutureExt;
use tokio::runtime::{Handle, Id};
pub(crate) use tokio::sync::{Mutex as AsyncMutex, SetOnce};
use tokio::task::AbortHandle;

pub(crate) use super::background::{Background, grace_period, sleep_until};

/// A tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtime(Handle);

/// A spawned task.
#[derive(Debug)]
pub(crate) struct Task {
    abort: AbortHandle,
    runtime: Id,
    process: u32,
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
        let task = self.0.spawn(task);
        // A worker keeps the last task it has spawned for itself, and never runs it if the caller blocks or computes. Another
        // task takes that place, so that other workers can run the first one: https://github.com/tokio-rs/tokio/issues/4941
        drop(self.0.spawn(async {}));
        Task { abort: task.abort_handle(), runtime: self.0.id(), process: process::id() }
    }
}

impl Task {
    pub(crate) fn is_on(&self, runtime: &Runtime) -> bool {
        self.runtime == runtime.0.id()
    }

    /// Whether its process was forked, so that no thread runs it here.
    pub(crate) fn is_of_another_process(&self) -> bool {
        self.process != process::id()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.abort.is_finished() || self.is_of_another_process()
    }

    pub(crate) fn abort(&self) {
        self.abort.abort();
    }
}

/// Whether the caller is a task of tokio, so that blocking would stop others.
///
/// Only there the runtime limits how often a task is polled without a pause. `spawn_blocking` and `block_in_place` lift that.
pub(crate) fn in_async_task() -> bool {
    const MAX_BUDGET: usize = 256;
    (0..MAX_BUDGET).any(|_| tokio::task::consume_budget().now_or_never().is_none())
}

/// Blocks the thread until the future is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
