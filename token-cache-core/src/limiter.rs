//! [`Limiter`]: how many fetches of several caches run at once, and how many start per second.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, Either};
use tokio::sync::oneshot;

use crate::clock::{AnyClock, Clock};
use crate::rt::{Background, Mutex, lock};

/// Lets fetches run one after the other, those that callers wait for first.
pub(crate) struct Limiter {
    clock: AnyClock,
    max_running: usize,
    /// The minimum time between two starts.
    interval: Duration,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    running: usize,
    /// The earliest start of the next fetch, in monotonic time.
    next_start: Duration,
    urgent: VecDeque<oneshot::Sender<Permit>>,
    background: VecDeque<oneshot::Sender<Permit>>,
    /// A task sleeps until `next_start`.
    sleeping: bool,
}

/// A fetch may run until this is dropped.
pub(crate) struct Permit(Arc<Limiter>);

impl Limiter {
    pub(crate) fn new(clock: AnyClock, max_running: usize, interval: Duration) -> Self {
        Self { clock, max_running, interval, queues: Mutex::default() }
    }

    /// Waits for the turn of a fetch. Once `urgent` completes, it is queued before those that no caller waits for. Cancel safe.
    pub(crate) async fn acquire(self: &Arc<Self>, urgent: impl Future<Output = ()>) -> Option<Permit> {
        let turn = self.enqueue(false);
        match future::select(turn, pin!(urgent)).await {
            Either::Left((permit, _)) => permit.ok(),
            Either::Right(((), turn)) => {
                let urgent = self.enqueue(true);
                future::select(turn, urgent).await.factor_first().0.ok()
            }
        }
    }

    fn enqueue(self: &Arc<Self>, urgent: bool) -> oneshot::Receiver<Permit> {
        let (sender, turn) = oneshot::channel();
        {
            let mut queues = lock(&self.queues);
            if urgent { queues.urgent.push_back(sender) } else { queues.background.push_back(sender) }
        }
        self.dispatch();
        turn
    }

    /// Gives permits to those whose turn it is.
    fn dispatch(self: &Arc<Self>) {
        loop {
            let now = self.clock.now().monotonic();
            let mut queues = lock(&self.queues);
            if queues.running >= self.max_running || !queues.has_waiters() {
                return;
            }
            if now < queues.next_start {
                let sleeps = mem::replace(&mut queues.sleeping, true);
                let next_start = queues.next_start;
                drop(queues);
                if !sleeps {
                    self.dispatch_at(next_start);
                }
                return;
            }
            let Some(next) = queues.pop() else { return };
            queues.running += 1;
            queues.next_start = now.saturating_add(self.interval);
            drop(queues);
            // A waiter that is gone returns its permit.
            drop(next.send(Permit(Arc::clone(self))));
        }
    }

    fn dispatch_at(self: &Arc<Self>, next_start: Duration) {
        let limiter = Arc::clone(self);
        let timers = Background::timers();
        let driver = timers.clone();
        let sleep = async move {
            limiter.clock.sleep_until(next_start).await;
            lock(&limiter.queues).sleeping = false;
            limiter.dispatch();
            // Until here, so that the task is driven.
            drop(driver);
        };
        match timers {
            Some(timers) => timers.spawn(sleep),
            // Rather too many fetches than none.
            None => {
                let mut queues = lock(&self.queues);
                (queues.sleeping, queues.next_start) = (false, Duration::ZERO);
                drop(queues);
                self.dispatch();
            }
        }
    }
}

impl Queues {
    /// Forgets those that do not wait any more.
    fn has_waiters(&mut self) -> bool {
        for queue in [&mut self.urgent, &mut self.background] {
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
        }
        !self.urgent.is_empty() || !self.background.is_empty()
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Permit>> {
        self.urgent.pop_front().or_else(|| self.background.pop_front())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.queues).running -= 1;
        self.0.dispatch();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").finish()
    }
}
