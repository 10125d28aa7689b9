//! [`PendingFetch`]: one fetch, many waiters.

use std::sync::OnceLock;
use std::time::Duration;

use crate::event::FetchReason;
use crate::rt::{Runtime, SetOnce, Task};
use crate::state::{FetchId, FetchOutcome};

/// A fetch that runs in a task, and whose outcome any number of callers can wait for.
#[derive(Debug)]
pub(crate) struct PendingFetch {
    pub(crate) id: FetchId,
    pub(crate) reason: FetchReason,
    /// The earliest start, in monotonic time.
    pub(crate) not_before: Duration,
    pub(crate) outcome: SetOnce<FetchOutcome>,
    /// Empty until the fetch is spawned.
    pub(crate) task: OnceLock<Task>,
}

impl PendingFetch {
    pub(crate) fn new(id: FetchId, reason: FetchReason, not_before: Duration) -> Self {
        Self { id, reason, not_before, outcome: SetOnce::new(), task: OnceLock::new() }
    }

    /// Wakes all waiters. The first outcome counts.
    pub(crate) fn complete(&self, outcome: FetchOutcome) {
        let _ = self.outcome.set(outcome);
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
