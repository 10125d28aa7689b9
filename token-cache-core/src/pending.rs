//! [`PendingFetch`]: one fetch, many waiters.

use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use crate::deadline::Deadline;
use crate::event::FetchReason;
use crate::limiter::Turn;
use crate::rt::{Runtime, SetOnce, Task};
use crate::state::{FetchId, FetchOutcome, InFlight};

/// A fetch that runs in a task, and whose outcome any number of callers can wait for.
pub(crate) struct PendingFetch<T> {
    pub(crate) id: FetchId,
    pub(crate) reason: FetchReason,
    /// The earliest start.
    pub(crate) not_before: Deadline,
    pub(crate) outcome: SetOnce<FetchOutcome<T>>,
    /// Empty until the fetch is spawned.
    pub(crate) task: OnceLock<Task>,
    /// If the cache shares limits with others.
    pub(crate) turn: Option<Arc<Turn>>,
    /// Dropped with the last waiter: then nobody needs the watchdog.
    pub(crate) watchdog: OnceLock<oneshot::Sender<()>>,
}

impl<T> PendingFetch<T> {
    pub(crate) fn new(InFlight { id, reason, not_before, .. }: InFlight, turn: Option<Arc<Turn>>) -> Self {
        let (task, watchdog) = (OnceLock::new(), OnceLock::new());
        Self { id, reason, not_before, outcome: SetOnce::new(), task, turn, watchdog }
    }

    /// Wakes all waiters. The first outcome counts.
    pub(crate) fn complete(&self, outcome: FetchOutcome<T>) {
        let _ = self.outcome.set(outcome);
        self.end_turn();
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
        self.end_turn();
    }

    fn end_turn(&self) {
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }
}
