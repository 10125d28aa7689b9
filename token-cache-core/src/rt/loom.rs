//! The counterparts for loom. A task is a thread of the model.

use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};

use super::lock;

pub(crate) struct AtomicArc<T>(Mutex<Option<Arc<T>>>);

impl<T> AtomicArc<T> {
    pub(crate) fn from_pointee(value: Option<T>) -> Self {
        Self(Mutex::new(value.map(Arc::new)))
    }

    pub(crate) fn load(&self) -> Guard<T> {
        Guard(lock(&self.0).clone())
    }

    pub(crate) fn swap(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut *lock(&self.0), value)
    }
}

/// A loaded value, as arc-swap returns it.
pub(crate) struct Guard<T>(Option<Arc<T>>);

impl<T> Deref for Guard<T> {
    type Target = Option<Arc<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The value is std's, because a reference to it is returned. The flag makes it visible to the model.
#[derive(Debug)]
pub(crate) struct SetOnce<T> {
    value: OnceLock<T>,
    is_set: AtomicU64,
}

impl<T> SetOnce<T> {
    pub(crate) fn new() -> Self {
        Self { value: OnceLock::new(), is_set: AtomicU64::new(0) }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let result = self.value.set(value);
        self.is_set.store(1, Ordering::Release);
        result
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) == 1 { self.value.get() } else { None }
    }

    pub(crate) async fn wait(&self) -> &T {
        std::future::poll_fn(|_| self.get().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// As tokio's, for callers who are polled until they get it.
#[derive(Debug)]
pub(crate) struct AsyncMutex<T>(Mutex<T>);

impl<T> AsyncMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) async fn lock(&self) -> MutexGuard<'_, T> {
        std::future::poll_fn(|_| self.try_lock().map_or(Poll::Pending, Poll::Ready)).await
    }

    pub(crate) fn try_lock(&self) -> Result<MutexGuard<'_, T>, ()> {
        self.0.try_lock().map_err(drop)
    }
}

/// The model has no threads of this crate: its tasks always run.
#[derive(Debug)]
pub(crate) struct Background;

impl Background {
    pub(crate) fn timers() -> Option<Arc<Self>> {
        None
    }

    pub(crate) fn fetches() -> Option<Arc<Self>> {
        None
    }

    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        unreachable!("there is none")
    }

    pub(crate) fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {}
}

pub(crate) async fn sleep_until(_: std::time::Instant) {
    std::future::pending().await
}

pub(crate) async fn grace_period() {}

pub(crate) fn in_async_task() -> bool {
    false
}

#[derive(Clone, Debug)]
pub(crate) struct Runtime;

#[derive(Debug)]
pub(crate) struct Task;

impl Runtime {
    pub(crate) fn new(_: tokio::runtime::Handle) -> Self {
        Self
    }

    pub(crate) fn current() -> Option<Self> {
        Some(Self)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        loom::thread::spawn(|| block_on(task));
        Task
    }
}

impl Task {
    pub(crate) fn is_on(&self, _: &Runtime) -> bool {
        true
    }

    pub(crate) fn is_of_another_process(&self) -> bool {
        false
    }

    pub(crate) fn is_finished(&self) -> bool {
        false
    }

    pub(crate) fn abort(&self) {}
}

/// Polls until the future is ready, and yields in between. The model does not know wakers: it would report blocked threads that
/// become runnable.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        loom::thread::yield_now();
    }
}
