//! The task that refreshes a cache without callers.

use std::sync::{Arc, Weak};

use crate::inner::Inner;
use crate::rt::{Task, lock};
use crate::state::KeepWarm;

impl<T: Send + Sync + 'static> Inner<T> {
    /// Starts the task if it is configured and does not run.
    pub(crate) fn ensure_kept_warm(self: &Arc<Self>) {
        if self.setup.config.keep_warm.is_none() {
            return;
        }
        let mut task = lock(&self.keep_warm_task);
        if task.as_ref().is_none_or(Task::is_finished)
            && let Some(runtime) = self.runtime()
        {
            *task = Some(runtime.spawn(run_keep_warm(Arc::downgrade(self))));
        }
    }
}

/// Holds no handle while it waits, so that it ends with the last one.
async fn run_keep_warm<T: Send + Sync + 'static>(inner: Weak<Inner<T>>) {
    while let Some(inner) = inner.upgrade() {
        let (next, pending) = inner.decide(|state, config, now| state.keep_warm(config, now));
        match next {
            KeepWarm::Fetch(ticket) => {
                inner.start_fetch(Arc::clone(&pending), ticket);
                drop(inner);
                pending.wait().await;
            }
            KeepWarm::Wait => {
                drop(inner);
                pending.wait().await;
            }
            KeepWarm::Sleep(until) => {
                let sleep = inner.clock.sleep_until(until);
                drop(inner);
                sleep.await;
            }
            KeepWarm::Stop => return,
        }
    }
}
