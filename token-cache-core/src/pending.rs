//! [`PendingFetch`]: one fetch, many waiters.

use std::sync::OnceLock;

use tokio::sync::{Notify, oneshot};

use crate::deadline::Deadline;
use crate::event::FetchReason;
use crate::rt::{Runtime, SetOnce, Task};
use crate::state::{FetchId, FetchOutcome, InFlight};

/// A fetch that runs in a task, and whose outcome any number of callers can wait for.
#[derive(Debug)]
pub(crate) struct PendingFetch<T> {
    pub(crate) id: FetchId,
    pub(crate) reason: FetchReason,
    /// The earliest start.
    pub(crate) not_before: Deadline,
    pub(crate) outcome: SetOnce<FetchOutcome<T>>,
    /// Empty until the fetch is spawned.
    pub(crate) task: OnceLock<Task>,
    /// Notified when a caller without a usable token waits.
    pub(crate) urgent: Notify,
    /// Dropped with the last waiter: then nobody needs the watchdog.
    pub(crate) watchdog: OnceLock<oneshot::Sender<()>>,
}

impl<T> PendingFetch<T> {
    pub(crate) fn new(InFlight { id, reason, not_before, .. }: InFlight) -> Self {
        let (task, watchdog) = (OnceLock::new(), OnceLock::new());
        Self { id, reason, not_before, outcome: SetOnce::new(), task, urgent: Notify::new(), watchdog }
    }

    /// Wakes all waiters. The first outcome counts.
    pub(crate) fn complete(&self, outcome: FetchOutcome<T>) {
        let _ = self.outcome.set(outcome);
    }

    pub(crate) fn is_on(&self, runtime: &Runtime) -> bool {
        self.task.get().is_some_and(|task| task.is_on(runtime))
    }

    pub(crate) fn is_of_another_process(&self) -> bool {
        self.task.get().is_some_and(Task::is_of_another_process)
    }

    pub(crate) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
