//! One fetch, many waiters.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::error::Error;
use crate::runtime::{Runtime, Task};
use crate::sync::Gate;

/// A fetch that belongs to no caller: it runs in a task of its own, and whoever wants its outcome joins.
#[derive(Debug)]
pub(crate) struct Flight {
    landing: OnceLock<Landing>,
    landed: Notify,
    task: OnceLock<Task>,
    gate: Gate,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// A new token is stored.
    Succeeded,
    Failed(Error),
    /// Its answer could not be trusted: a token was rejected in the meantime.
    Discarded,
    /// Its task went away before the end. Nothing is known of the source.
    Lost,
}

impl Flight {
    pub(crate) fn new() -> Self {
        Self { landing: OnceLock::new(), landed: Notify::new(), task: OnceLock::new(), gate: Gate::new() }
    }

    /// Waits for the end. Dropping the future leaves the flight and everybody else alone.
    pub(crate) async fn join(&self) -> Landing {
        self.gate.pass();
        // Before the look: it is told of what comes in between.
        let landed = self.landed.notified();
        if self.landing.get().is_none() {
            landed.await;
        }
        self.landing.get().cloned().unwrap_or(Landing::Lost)
    }

    /// Tells all who wait. The first word counts.
    pub(crate) fn land(&self, landing: Landing) {
        self.gate.pass();
        if self.landing.set(landing).is_ok() {
            self.landed.notify_waiters();
        }
    }

    /// The task it runs in, so that it can be aborted, and whose runtime can be told from others.
    pub(crate) fn runs_in(&self, task: Task) {
        // A flight departs once.
        let _ = self.task.set(task);
    }

    /// Whether it is driven whenever `runtime` is.
    pub(crate) fn is_on(&self, runtime: &Runtime) -> bool {
        self.task.get().is_some_and(|task| task.is_on(runtime))
    }

    pub(crate) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}
