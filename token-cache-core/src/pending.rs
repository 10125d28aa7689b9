//! [`PendingFetch`]: one fetch, many waiters.

use std::sync::OnceLock;

use crate::rt::{Runtime, SetOnce, Task};
use crate::state::{FetchId, FetchOutcome};

/// A fetch that runs in a task, and whose outcome any number of callers can wait for.
#[derive(Debug)]
pub(crate) struct PendingFetch {
    pub(crate) id: FetchId,
    outcome: SetOnce<FetchOutcome>,
    task: OnceLock<Task>,
}

impl PendingFetch {
    pub(crate) fn new(id: FetchId) -> Self {
        Self { id, outcome: SetOnce::new(), task: OnceLock::new() }
    }

    /// Waits for the outcome. Dropping the future affects no other waiter.
    pub(crate) async fn wait(&self) -> FetchOutcome {
        self.outcome.wait().await
    }

    pub(crate) fn outcome(&self) -> Option<FetchOutcome> {
        self.outcome.get()
    }

    /// Wakes all waiters. The first outcome counts.
    pub(crate) fn complete(&self, outcome: FetchOutcome) {
        self.outcome.set(outcome);
    }

    pub(crate) fn set_task(&self, task: Task) {
        // A fetch is spawned once.
        let _ = self.task.set(task);
    }

    /// Whether the fetch makes progress whenever `runtime` does.
    pub(crate) fn is_on(&self, runtime: &Runtime) -> bool {
        self.task.get().is_some_and(|task| task.is_on(runtime))
    }

    pub(crate) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
