//! [`Load`]: workers that repeat an operation until a condition holds.

use std::fmt::{self, Debug, Display};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{Either, join_all, select};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::task::JoinHandle;

/// What one worker of a [`Load`] repeats. A closure that returns a future is a worker.
pub trait Worker: Send + 'static {
    /// Why an operation failed.
    type Error: Send + 'static;

    /// Performs one operation.
    fn operate(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl<F, Fut, E> Worker for F
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Send + 'static,
{
    type Error = E;

    fn operate(&mut self) -> impl Future<Output = Result<(), E>> + Send {
        self()
    }
}

/// Workers that repeat their operations until a condition holds.
///
/// ```
/// use object_store::memory::InMemory;
/// use token_cache_test_support::{round_trips, wait_until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let load = round_trips(InMemory::new(), 8);
/// let operations = load.operations();
/// let report = load.run_until(wait_until("100 operations", async || operations.count() >= 100)).await;
/// assert!(report.assert_no_failures() >= 100);
/// # }
/// ```
pub struct Load<W> {
    workers: Vec<W>,
    pause_after_failure: Option<Duration>,
    operations: Operations,
}

impl<W: Worker> Load<W> {
    /// A load of these workers. Each runs in its own task, so they run in parallel if the runtime has several threads.
    ///
    /// The first failure ends the load, unless [`continue_after_failure`](Self::continue_after_failure) is called.
    pub fn new(workers: impl IntoIterator<Item = W>) -> Self {
        let workers = workers.into_iter().collect();
        Self { workers, pause_after_failure: None, operations: Operations::default() }
    }

    /// Lets a worker go on after a failure and a pause. The pause keeps a failure that costs nothing from filling a core.
    #[must_use]
    pub const fn continue_after_failure(mut self, pause: Duration) -> Self {
        self.pause_after_failure = Some(pause);
        self
    }

    /// The number of operations so far. Use it to wait for progress while the load runs.
    #[must_use]
    pub fn operations(&self) -> Operations {
        self.operations.clone()
    }

    /// Runs the workers until `end` completes or the load ends by itself, and lets them finish the operations they have
    /// started.
    ///
    /// Must be called on a tokio runtime. Dropping the future stops each worker after its current operation.
    ///
    /// # Panics
    ///
    /// If a worker panics, with the same message.
    pub async fn run_until(self, end: impl Future<Output = ()>) -> LoadReport<W> {
        let stop = Stop::default();
        let tasks = self.workers.into_iter().map(|worker| {
            let task = Task {
                worker,
                pause_after_failure: self.pause_after_failure,
                operations: self.operations.clone(),
                stop: Arc::clone(&stop.0),
                failures: 0,
                first_failure: None,
            };
            tokio::spawn(task.run())
        });
        let all = join_all(tasks.map(finished));
        let tasks = match select(Box::pin(end), all).await {
            Either::Left(((), all)) => {
                drop(stop);
                all.await
            }
            Either::Right((tasks, _)) => tasks,
        };
        let mut report =
            LoadReport { operations: self.operations.count(), failures: 0, first_failure: None, workers: Vec::new() };
        for task in tasks {
            report.failures += task.failures;
            report.first_failure = report.first_failure.or(task.first_failure);
            report.workers.push(task.worker);
        }
        report
    }
}

impl<W> Debug for Load<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// What came of a [`Load`].
#[non_exhaustive]
pub struct LoadReport<W: Worker> {
    /// Operations that succeeded.
    pub operations: u64,
    /// Operations that failed.
    pub failures: u64,
    /// The first failure of one of the workers that failed.
    pub first_failure: Option<W::Error>,
    /// The workers, in their order, for what they have counted themselves.
    pub workers: Vec<W>,
}

impl<W: Worker<Error: Display>> LoadReport<W> {
    /// Returns the number of operations.
    ///
    /// # Panics
    ///
    /// If an operation failed. The message has the first failure.
    #[track_caller]
    pub fn assert_no_failures(&self) -> u64 {
        if let Some(error) = &self.first_failure {
            panic!("{} operations failed and {} succeeded: {error}", self.failures, self.operations);
        }
        self.operations
    }
}

impl<W: Worker<Error: Debug>> Debug for LoadReport<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadReport")
            .field("operations", &self.operations)
            .field("failures", &self.failures)
            .field("first_failure", &self.first_failure)
            .finish_non_exhaustive()
    }
}

/// Counts the operations of a running [`Load`] that succeeded. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Operations(Arc<AtomicU64>);

impl Operations {
    /// The number of operations that have succeeded so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Stops all tasks when it is dropped.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task<W: Worker> {
    worker: W,
    pause_after_failure: Option<Duration>,
    operations: Operations,
    stop: Arc<AtomicBool>,
    failures: u64,
    first_failure: Option<W::Error>,
}

impl<W: Worker> Task<W> {
    async fn run(mut self) -> Self {
        while !self.stop.load(Ordering::Relaxed) {
            // An operation that never waits, such as on a store in memory, must not starve the condition.
            tokio::task::yield_now().await;
            let Err(error) = self.worker.operate().await else {
                self.operations.0.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.failures += 1;
            self.first_failure.get_or_insert(error);
            match self.pause_after_failure {
                Some(pause) => tokio::time::sleep(pause).await,
                None => self.stop.store(true, Ordering::Relaxed),
            }
        }
        self
    }
}

/// The output of a task. Its panic is passed on.
async fn finished<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A [`Load`] of `workers` workers. Each writes an object with new content, reads it back and compares, which is one
/// operation and two requests.
///
/// The objects are under a prefix that no other load uses, not even one of another process.
pub fn round_trips(store: impl ObjectStore, workers: usize) -> Load<RoundTrip> {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let prefix = format!("load-{}-{}", process::id(), LOADS.fetch_add(1, Ordering::Relaxed));
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    Load::new((0..workers).map(|n| {
        let path = Path::from(format!("{prefix}/{n}"));
        RoundTrip { store: Arc::clone(&store), path, written: 0 }
    }))
}

/// A worker of [`round_trips`].
#[derive(Debug)]
pub struct RoundTrip {
    store: Arc<dyn ObjectStore>,
    path: Path,
    written: u64,
}

impl Worker for RoundTrip {
    type Error = Error;

    async fn operate(&mut self) -> Result<(), Error> {
        self.written += 1;
        let content = format!("{} {}", self.path, self.written);
        self.store.put(&self.path, content.clone().into()).await?;
        let read = self.store.get(&self.path).await?.bytes().await?;
        if read != content {
            let source = format!("wrote {content:?} and read {read:?}").into();
            return Err(Error::Generic { store: "load", source });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use object_store::memory::InMemory;

    use super::*;
    use crate::wait_until;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_condition_ends_the_load() {
        let load = round_trips(InMemory::new(), 4);
        let operations = load.operations();
        let report = load.run_until(wait_until("10 operations", async || operations.count() >= 10)).await;
        assert!(report.assert_no_failures() >= 10);
        assert_eq!((report.failures, report.workers.len()), (0, 4));
    }

    #[tokio::test]
    async fn the_first_failure_ends_the_load() {
        let mut calls = 0;
        let fails_third = move || {
            calls += 1;
            ready(if calls == 3 { Err("the third operation") } else { Ok(()) })
        };
        let report = Load::new([fails_third]).run_until(pending()).await;
        assert_eq!((report.operations, report.failures, report.first_failure), (2, 1, Some("the third operation")));
    }

    #[tokio::test]
    async fn a_load_may_continue_after_failures() {
        let mut calls = 0;
        let fails_once = move || {
            calls += 1;
            ready(if calls == 1 { Err("the first operation") } else { Ok(()) })
        };
        let load = Load::new([fails_once]).continue_after_failure(Duration::ZERO);
        let operations = load.operations();
        let report = load.run_until(wait_until("5 operations", async || operations.count() >= 5)).await;
        assert_eq!((report.failures, report.first_failure), (1, Some("the first operation")));
    }

    #[tokio::test]
    #[should_panic(expected = "a worker panics")]
    async fn a_panic_of_a_worker_is_passed_on() {
        let panics = || -> std::future::Ready<Result<(), Infallible>> { panic!("a worker panics") };
        Load::new([panics]).run_until(pending()).await;
    }
}
