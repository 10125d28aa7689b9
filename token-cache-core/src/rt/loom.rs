//! The counterparts for loom. A task is a thread of the model.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};

use super::lock;

pub(crate) struct AtomicArc<T>(Mutex<Option<Arc<T>>>);

impl<T> AtomicArc<T> {
    pub(crate) fn new(value: Option<T>) -> Self {
        Self(Mutex::new(value.map(Arc::new)))
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        let value = lock(&self.0).clone();
        read(value.as_deref())
    }

    pub(crate) fn swap(&self, value: Option<T>) -> Option<Arc<T>> {
        std::mem::replace(&mut *lock(&self.0), value.map(Arc::new))
    }
}

#[derive(Debug)]
pub(crate) struct SetOnce<T>(Mutex<Option<T>>);

impl<T: Clone> SetOnce<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn set(&self, value: T) {
        lock(&self.0).get_or_insert(value);
    }

    pub(crate) fn get(&self) -> Option<T> {
        lock(&self.0).clone()
    }

    pub(crate) async fn wait(&self) -> T {
        std::future::poll_fn(|_| self.get().map_or(Poll::Pending, Poll::Ready)).await
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Runtime;

#[derive(Clone, Debug)]
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

    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

impl Task {
    pub(crate) fn is_on(&self, _: &Runtime) -> bool {
        true
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
