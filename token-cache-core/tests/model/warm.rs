//! Runs a program on a cache that is kept warm, and checks what `keep_warm` promises: it fetches when a fetch is due, no
//! earlier than allowed, and stops when nothing reads.
//!
//! When its task wakes is its own affair, so what it does is checked against the reference, not predicted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token_cache_core::test_util::{Fetch, Harness};
use token_cache_core::{Clock, Freshness, Subscription};
use tokio::runtime::Runtime;

use crate::harness::{Answers, eventually, harness, run_tasks, runtime};
use crate::history::Fact;
use crate::program::{Answer, Place, Settings, answer, duration, settings};
use crate::reference::{Caller, Demand, Reference, Reply};
use crate::token::Secret;
use crate::walk::ensure;

/// The settings of a cache that is kept warm, and the steps that happen to it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    settings: Settings,
    idle: Duration,
    pub(crate) steps: Vec<Step>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\nidle: {:?}", self.settings, self.idle)?;
        self.steps.iter().enumerate().try_for_each(|(number, step)| write!(f, "\n{number}: {step:?}"))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Advance(Duration),
    /// To the next deadline of the cache.
    AdvanceToDeadline(usize),
    Answer(Answer),
    Read,
    Subscribe,
    Suspend(Duration),
    Unsubscribe,
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let idle = select(&[10, 100, 3_600, 100_000_000]).prop_map(Duration::from_secs);
    (settings(), idle, vec(step(), 1..=79)).prop_map(|(settings, idle, steps)| Program { settings, idle, steps })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => duration().prop_map(Step::Advance),
        6 => (0_usize..8).prop_map(Step::AdvanceToDeadline),
        8 => answer().prop_map(Step::Answer),
        4 => Just(Step::Read),
        1 => Just(Step::Subscribe),
        1 => duration().prop_map(Step::Suspend),
        1 => Just(Step::Unsubscribe),
    ]
}

/// Runs a program, and drops the cache.
pub(crate) fn run(program: &Program) -> Result<(), String> {
    let mut walk = Walk::new(program);
    walk.settle().map_err(|error| format!("before the first step: {error}"))?;
    for (number, step) in program.steps.iter().enumerate() {
        walk.step(*step).and_then(|()| walk.settle()).map_err(|error| format!("step {number}, {step:?}: {error}"))?;
    }
    walk.end()
}

struct Walk {
    harness: Harness<Secret>,
    reads: Arc<AtomicUsize>,
    runtimes: [Runtime; 1],
    reference: Reference,
    idle: Duration,
    /// In monotonic time. A subscriber is one as well.
    last_read: Duration,
    /// The last read that the task has noticed for certain.
    last_noticed: Duration,
    subscription: Option<Subscription<Secret>>,
    subscribed: Option<Duration>,
    fetch: Option<Fetch<Secret>>,
    reply: Option<Reply>,
    answers: Answers,
    /// Since when a fetch is due, in monotonic time.
    due: Option<Duration>,
    was_suspended: bool,
}

impl Walk {
    fn new(program: &Program) -> Self {
        let (runtime, reads) = (runtime(), Arc::new(AtomicUsize::new(0)));
        let harness = {
            let _inside = runtime.enter();
            harness(program.settings, None, program.idle, &reads)
        };
        let reference = Reference::new(program.settings, None, harness.clock.now());
        Self {
            harness,
            reads,
            runtimes: [runtime],
            reference,
            idle: program.idle,
            last_read: Duration::ZERO,
            last_noticed: Duration::ZERO,
            subscription: None,
            subscribed: None,
            fetch: None,
            reply: None,
            answers: Answers::default(),
            due: None,
            was_suspended: false,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        self.reads.store(0, Ordering::SeqCst);
        match step {
            Step::Advance(duration) => self.harness.clock.advance(duration),
            Step::AdvanceToDeadline(which) => {
                let deadlines = self.reference.history.deadlines();
                if let Some(which) = which.checked_rem(deadlines.len()) {
                    self.harness.clock.advance(deadlines[which]);
                }
            }
            Step::Answer(answer) => {
                if let Some(fetch) = self.fetch.take() {
                    self.reply = Some(self.answers.answer(fetch, answer, self.harness.clock.wall()));
                }
            }
            Step::Read => self.read()?,
            Step::Subscribe => self.subscription = Some(self.harness.cache.subscribe()),
            Step::Suspend(duration) => {
                self.harness.clock.suspend(duration);
                self.was_suspended = true;
            }
            Step::Unsubscribe => self.subscription = None,
        }
        self.reference.history.now = self.harness.clock.now();
        if let Step::Suspend(_) = step {
            self.reference.history.push(Fact::WallMoved);
        }
        Ok(())
    }

    /// A caller who waits for nothing.
    fn read(&mut self) -> Result<(), String> {
        (self.last_read, self.last_noticed) = (self.now(), self.now());
        let demand = Demand::Get { min_remaining: Duration::ZERO, stored: false };
        let expected = self.reference.poll(&mut Caller::new(Place::Runtime(0), demand));
        let _inside = self.runtimes[0].enter();
        let result = self.harness.cache.get().now_or_never();
        ensure!(result.is_some() == expected.is_some(), "P21: a reader gets {result:?} instead of {expected:?}");
        Ok(())
    }

    fn now(&self) -> Duration {
        self.harness.clock.now().monotonic()
    }

    /// Runs the tasks until they wait, and checks what they have done.
    fn settle(&mut self) -> Result<(), String> {
        if let Some(subscription) = &mut self.subscription {
            let _inside = self.runtimes[0].enter();
            let _ = subscription.changed().now_or_never();
            self.last_read = self.now();
            // The task looks for subscribers when it wakes, and does not while it waits for a fetch.
            let since = *self.subscribed.get_or_insert(self.last_read);
            if self.reference.history.pending().is_none() && self.last_read >= since + MAX_SLEEP {
                self.last_noticed = self.last_noticed.max(self.last_read - MAX_SLEEP);
            }
        } else {
            self.subscribed = None;
        }
        run_tasks(&self.runtimes);
        let (now, unread) = (self.now(), self.now() - self.last_read);
        let started = self.harness.source.fetches() > self.reference.history.fetches();
        // What callers have started, and what has ended.
        self.reference.run_fetch(started, self.reply.take());
        if self.reference.history.pending().is_none() {
            self.fetch = None;
        }
        while let Some(fetch) = self.harness.source.wait_for_fetch().now_or_never() {
            self.fetch = Some(fetch);
        }
        if self.harness.source.fetches() > self.reference.history.fetches() {
            self.check_allowed()?;
            ensure!(unread < self.idle + self.idle / 2, "P21: a fetch after {unread:?} without a read");
            self.reference.fetch_in_background(0);
            self.reference.run_fetch(true, None);
        }
        let (fetches, expected) = (self.harness.source.fetches(), self.reference.history.fetches());
        ensure!(fetches == expected, "P8, P21: {fetches} fetches instead of {expected}");
        self.reference.events.clear();
        self.reference.served_expired.clear();

        self.due = self.due.filter(|_| self.is_due()).or_else(|| self.is_due().then_some(now));
        if let Some(due) = self.due {
            // The task looks at the wall clock at least this often.
            let late = if self.was_suspended { MAX_SLEEP } else { Duration::ZERO };
            let is_idle = now - self.last_noticed >= self.idle;
            ensure!(is_idle || now < due + late, "P21: a fetch is due and does not start");
        }
        let is_idle = unread >= self.idle + self.idle / 2 + MAX_SLEEP;
        if is_idle && self.reference.history.pending().is_none() {
            let tasks = self.runtimes[0].metrics().num_alive_tasks();
            ensure!(tasks == 0, "P21: {tasks} tasks after {unread:?} without a read");
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.reference.history.pending().is_none() && self.check_allowed().is_ok()
    }

    /// Whether a refresh in the background may start: it is due, and the pacing allows it.
    fn check_allowed(&self) -> Result<(), String> {
        let history = &self.reference.history;
        ensure!(history.pending().is_none(), "P7: two fetches at once");
        ensure!(history.freshness() != Freshness::Fresh, "P21: a fetch that is not due");
        let wait = history.until_next_attempt().max(history.until_after_last_start(MIN_INTERVAL));
        ensure!(wait.is_zero(), "P8: a fetch starts {wait:?} too early");
        Ok(())
    }

    /// Drops the cache. Its tasks end.
    fn end(self) -> Result<(), String> {
        drop((self.harness.cache, self.subscription));
        let ended = eventually(|| {
            run_tasks(&self.runtimes);
            self.runtimes[0].metrics().num_alive_tasks() == 0
        });
        ensure!(ended, "P14, P21: tasks are remaining");
        Ok(())
    }
}

/// The refreshes of `keep_warm` are at least this far apart.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The longest sleep of its task.
const MAX_SLEEP: Duration = Duration::from_secs(5);
