//! [`Limiter`]: how many fetches of several caches run at once, and how many start per second.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{AnyClock, Clock};
use crate::rt::{Background, Mutex, lock};

/// Gives fetches their turn one after the other, those that callers wait for first.
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
    urgent: VecDeque<Arc<Turn>>,
    background: VecDeque<Arc<Turn>>,
    /// A task sleeps until `next_start`.
    sleeping: bool,
}

/// The turn of one fetch.
///
/// It ends with the fetch, and not with the task of the fetch: a task that nobody drives must not hold up other caches.
#[derive(Default)]
pub(crate) struct Turn {
    state: Mutex<TurnState>,
    granted: Notify,
    /// Notified when a caller without a usable token waits.
    urgent: Notify,
}

#[derive(Default)]
enum TurnState {
    #[default]
    Waiting,
    Granted(Arc<Limiter>),
    Ended,
}

impl Limiter {
    pub(crate) fn new(clock: AnyClock, max_running: usize, interval: Duration) -> Self {
        Self { clock, max_running, interval, queues: Mutex::default() }
    }

    /// Adds a turn that no caller waits for.
    pub(crate) fn enqueue(self: &Arc<Self>, turn: &Arc<Turn>) {
        lock(&self.queues).background.push_back(Arc::clone(turn));
        self.dispatch();
    }

    /// Adds a turn before those that no caller waits for, also if it is one of them.
    pub(crate) fn enqueue_urgent(self: &Arc<Self>, turn: &Arc<Turn>) {
        lock(&self.queues).urgent.push_back(Arc::clone(turn));
        self.dispatch();
    }

    /// Grants the turns that can be granted now.
    fn dispatch(self: &Arc<Self>) {
        let mut queues = lock(&self.queues);
        while queues.running < self.max_running {
            let now = self.clock.now().monotonic();
            if now < queues.next_start {
                let (next_start, sleeps) = (queues.next_start, queues.sleeping || queues.is_empty());
                queues.sleeping |= !sleeps;
                drop(queues);
                if !sleeps {
                    self.dispatch_at(next_start);
                }
                return;
            }
            let Some(turn) = queues.pop() else { return };
            if turn.grant(self) {
                queues.running += 1;
                queues.next_start = now.saturating_add(self.interval);
            }
        }
    }

    fn dispatch_at(self: &Arc<Self>, next_start: Duration) {
        let Some(timers) = Background::timers() else {
            // Rather too many fetches than none.
            let mut queues = lock(&self.queues);
            (queues.sleeping, queues.next_start) = (false, Duration::ZERO);
            drop(queues);
            return self.dispatch();
        };
        let (limiter, driver) = (Arc::clone(self), Arc::clone(&timers));
        timers.spawn(async move {
            limiter.clock.sleep_until(next_start).await;
            lock(&limiter.queues).sleeping = false;
            limiter.dispatch();
            // Until here, so that the task is driven.
            drop(driver);
        });
    }

    fn release(self: &Arc<Self>) {
        lock(&self.queues).running -= 1;
        self.dispatch();
    }
}

impl Queues {
    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.background.is_empty()
    }

    fn pop(&mut self) -> Option<Arc<Turn>> {
        self.urgent.pop_front().or_else(|| self.background.pop_front())
    }
}

impl Turn {
    /// Completes once the fetch may run. For one caller.
    pub(crate) async fn granted(&self) {
        self.granted.notified().await;
    }

    /// Completes once a caller without a usable token waits. For one caller.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    pub(crate) fn make_urgent(&self) {
        self.urgent.notify_one();
    }

    /// `false` if it was granted before, or has ended.
    fn grant(&self, limiter: &Arc<Limiter>) -> bool {
        let mut state = lock(&self.state);
        let waits = matches!(*state, TurnState::Waiting);
        if waits {
            *state = TurnState::Granted(Arc::clone(limiter));
            self.granted.notify_one();
        }
        waits
    }

    /// The fetch has ended.
    pub(crate) fn end(&self) {
        let state = mem::replace(&mut *lock(&self.state), TurnState::Ended);
        if let TurnState::Granted(limiter) = state {
            limiter.release();
        }
    }
}
