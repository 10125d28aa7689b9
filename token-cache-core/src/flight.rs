//! One fetch, many waiters.

use std::sync::OnceLock;

use tokio::sync::watch;

use crate::error::Error;
use crate::runtime::{Runtime, Task};
use crate::sync::Gate;

/// A fetch that belongs to no caller: it runs in a task of its own, and whoever wants its outcome joins.
#[derive(Debug)]
pub(crate) struct Flight {
    landing: watch::Sender<Option<Landing>>,
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
        Self { landing: watch::Sender::new(None), task: OnceLock::new(), gate: Gate::new() }
    }

    /// Waits for the end. Dropping the future leaves the flight and everybody else alone.
    pub(crate) async fn join(&self) -> Landing {
        self.gate.pass();
        let mut landing = self.landing.subscribe();
        match landing.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone().unwrap_or(Landing::Lost),
            Err(_) => Landing::Lost,
        }
    }

    /// Tells all who wait. The first word counts.
    pub(crate) fn land(&self, landing: Landing) {
        self.gate.pass();
        self.landing.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(landing);
            first
        });
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
