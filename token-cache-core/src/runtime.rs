//! Where tasks run: the only file that spawns.

#[cfg(not(token_cache_loom))]
mod imp {
    use tokio::runtime::{Handle, Id};
    use tokio::task::AbortHandle;

    /// A tokio runtime.
    #[derive(Clone, Debug)]
    pub(crate) struct Runtime(Handle);

    /// A task, to be told from those of other runtimes, and to be aborted.
    #[derive(Debug)]
    pub(crate) struct Task {
        abort: AbortHandle,
        runtime: Id,
    }

    impl Runtime {
        pub(crate) const fn new(handle: Handle) -> Self {
            Self(handle)
        }

        /// The one that the caller is in.
        pub(crate) fn current() -> Option<Self> {
            Handle::try_current().ok().map(Self)
        }

        pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
            Task { abort: self.0.spawn(task).abort_handle(), runtime: self.0.id() }
        }

        /// Runs `f` as inside of it: a timer is made in a runtime, and may be awaited anywhere.
        pub(crate) fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
            let _inside = self.0.enter();
            f()
        }
    }

    impl Task {
        /// Whether it is driven whenever `runtime` is.
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
}

/// Under the interleaving check, a task is a thread of the model's.
#[cfg(token_cache_loom)]
mod imp {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

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

        pub(crate) fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
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

    /// Polls until it is ready, and lets others go first in between. Wakers are not the model's: with them, it would see
    /// blocked threads come to life.
    pub fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return output;
            }
            loom::thread::yield_now();
        }
    }
}

#[cfg(token_cache_loom)]
pub use self::imp::block_on;

pub(crate) use self::imp::{Runtime, Task};
