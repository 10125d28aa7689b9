//! Runs a program on the cache and on the reference, step by step. What is visible of the two must be the same.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use token_cache_core::test_util::{Fetch, Harness, VirtualClock};
use token_cache_core::{Clock, Error, ErrorKind, Event, Freshness, TemporaryToken, TimePoint};
use tokio::runtime::{Builder, Runtime};

use crate::program::{
    Answer, Buffer, By, Clocks, Lifetime, Meanwhile, MinRemaining, Offset, Place, Program, Settings, Step, Which,
};
use crate::reference::{self, ErrorInfo, EventInfo, Expiry, Outcome, Reference, Reply};

type CallResult = Result<Arc<u32>, Error>;

macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}

/// Runs a program, and drops the cache.
pub(crate) fn run(program: &Program) -> Result<(), String> {
    let mut walk = Walk::new(program.settings);
    walk.check().map_err(|error| format!("before the first step: {error}"))?;
    for (number, step) in program.steps.iter().enumerate() {
        walk.step(step.step, step.callers_first)
            .and_then(|()| walk.check())
            .map_err(|error| format!("step {number}, {:?}: {error}", step.step))?;
    }
    walk.end().map_err(|error| format!("at the end: {error}"))
}

struct Walk {
    harness: Harness<u32>,
    /// The number of times that the cache has read the clock in this step.
    reads: Arc<AtomicUsize>,
    runtimes: [Runtime; 2],
    reference: Reference,
    /// The waiting callers, by their number.
    callers: BTreeMap<u32, Caller>,
    calls: u32,
    /// The last fetch until it is answered, and its answer until the reference has it.
    fetch: Option<Fetch<u32>>,
    reply: Option<Reply>,
    /// When the last fetch started.
    last_start: Option<TimePoint>,
    answers: u32,
    last_token: Option<(u32, Expiry)>,
    /// The token of each generation.
    tokens: Vec<Arc<u32>>,
    /// Whether the wall clock was set back.
    set_back: bool,
}

/// A caller of the cache, and its counterpart in the reference. The walk decides when to poll it.
struct Caller {
    future: Pin<Box<dyn Future<Output = CallResult>>>,
    woken: Arc<Woken>,
    model: reference::Caller,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A clock that panics in an endless loop: within one poll, nothing else can stop that.
#[derive(Debug)]
struct LoopDetector {
    clock: VirtualClock,
    reads: Arc<AtomicUsize>,
}

impl LoopDetector {
    fn count(&self) {
        assert!(self.reads.fetch_add(1, Ordering::SeqCst) < MAX_READS, "{ENDLESS_LOOP}");
    }
}

impl Clock for LoopDetector {
    fn now(&self) -> TimePoint {
        self.count();
        self.clock.now()
    }

    fn tick(&self) -> Option<NonZeroU64> {
        self.count();
        self.clock.tick()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}

impl Walk {
    fn new(settings: Settings) -> Self {
        let (clock, reads) = (VirtualClock::new(), Arc::new(AtomicUsize::new(0)));
        let detector = LoopDetector { clock: clock.clone(), reads: Arc::clone(&reads) };
        let mut harness = Harness::with(|builder| {
            let builder = builder
                // So the answer of a fetch from before an invalidation is stored. The contract tests cover the rest.
                .token_eq(|_, _| false)
                .min_ttl(settings.min_ttl)
                .min_refresh_interval(settings.min_refresh_interval)
                .max_backoff(settings.max_backoff)
                .fetch_timeout(settings.fetch_timeout)
                .clock(detector);
            match settings.expiry_buffer {
                Buffer::Fixed(duration) => builder.expiry_buffer(duration),
                Buffer::Percent(percent) => builder.expiry_buffer_by(move |lifetime| lifetime * percent / 100),
            }
        });
        harness.clock = clock;
        let reference = Reference::new(settings, harness.clock.now());
        Self {
            harness,
            reads,
            runtimes: [runtime(), runtime()],
            reference,
            callers: BTreeMap::new(),
            calls: 0,
            fetch: None,
            reply: None,
            last_start: None,
            answers: 0,
            last_token: None,
            tokens: Vec::new(),
            set_back: false,
        }
    }

    fn step(&mut self, step: Step, callers_first: bool) -> Result<(), String> {
        self.reads.store(0, Ordering::SeqCst);
        match step {
            Step::Get(place) => self.call(place, Duration::ZERO, false)?,
            Step::GetValidFor(place, min_remaining) => self.call(place, self.min_remaining(min_remaining), false)?,
            Step::Refresh(place) => self.call(place, Duration::ZERO, true)?,
            Step::Answer(answer, meanwhile) => self.answer(answer, meanwhile)?,
            Step::Clock(clocks, by) => self.move_clock(clocks, by),
            Step::Drop(which) => {
                if let Some(&number) = nth(self.callers.keys(), which) {
                    self.callers.remove(&number);
                }
            }
            Step::Invalidate(Which::Unknown) => {
                let value = self.reference.stored.map_or(0, |stored| stored.value);
                self.harness.cache.invalidate(&Arc::new(value));
            }
            Step::Invalidate(Which::Older(which)) => {
                if !self.tokens.is_empty() {
                    self.invalidate(which % self.tokens.len() + 1)?;
                }
            }
            Step::Invalidate(Which::Stored) => {
                if let Some(stored) = self.reference.stored {
                    self.invalidate(stored.generation)?;
                }
            }
            Step::DropRuntime { runtime, keep_callers } => {
                if !keep_callers {
                    self.callers.retain(|_, caller| caller.model.place != Place::Runtime(runtime));
                }
                self.runtimes[runtime] = self::runtime();
                self.reference.drop_runtime(runtime);
                self.check_fetch_is_dropped()?;
            }
        }
        // A fetch notices its timeout by its own timer first. A caller in another runtime would notice it too.
        if callers_first && !self.reference.is_overdue() {
            self.poll_woken()?;
        }
        self.settle()
    }

    /// Adds a caller, and polls it once.
    fn call(&mut self, place: Place, min_remaining: Duration, refreshes: bool) -> Result<(), String> {
        let is_hit = match self.reference.freshness() {
            Freshness::Fresh | Freshness::NearExpiry => self.reference.usable(min_remaining).is_some() && !refreshes,
            _ => false,
        };
        let cache = self.harness.cache.clone();
        let future: Pin<Box<dyn Future<Output = CallResult>>> = match (refreshes, min_remaining) {
            (true, _) => Box::pin(async move { cache.refresh().await }),
            (false, Duration::ZERO) => Box::pin(async move { cache.get().await }),
            (false, min_remaining) => Box::pin(async move { cache.get_valid_for(min_remaining).await }),
        };
        let model = reference::Caller::new(place, min_remaining, refreshes);
        let number = self.calls;
        self.calls += 1;
        self.callers.insert(number, Caller { future, woken: Arc::new(Woken(AtomicBool::new(false))), model });
        let waits = self.poll(number)?;
        ensure!(!(is_hit && waits), "P1: a caller waits although a usable token is stored");
        Ok(())
    }

    /// Polls a caller, and returns whether it still waits.
    fn poll(&mut self, number: u32) -> Result<bool, String> {
        let Some(caller) = self.callers.get_mut(&number) else { return Ok(false) };
        caller.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&caller.woken));
        let result = {
            let _inside = match caller.model.place {
                Place::Runtime(runtime) => Some(self.runtimes[runtime].enter()),
                Place::Outside => None,
            };
            caller.future.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let expected = self.reference.poll(&mut caller.model);
        let model = caller.model;
        match (result, expected) {
            (Poll::Pending, None) => return Ok(true),
            (Poll::Pending, Some(expected)) => {
                return Err(format!("{}a caller waits instead of getting {expected:?}", promise(&expected)));
            }
            (Poll::Ready(result), expected) => self.compare(&model, result, expected)?,
        }
        self.callers.remove(&number);
        Ok(false)
    }

    /// Compares the result of a caller.
    fn compare(&self, caller: &reference::Caller, result: CallResult, expected: Option<Outcome>) -> Result<(), String> {
        let stored = self.reference.stored;
        let actual = match result {
            Ok(token) => {
                let generation = self.tokens.iter().position(|known| Arc::ptr_eq(known, &token));
                let Some(generation) = generation.map(|index| index + 1) else {
                    return Err(format!("P2, P4, P11: the returned {token} was never stored, or is a copy"));
                };
                let is_held = stored.is_some_and(|stored| stored.generation == generation);
                ensure!(is_held, "P15: the returned token is not the stored one");
                ensure!(self.reference.freshness() != Freshness::Expired, "P2: the returned token has expired");
                ensure!(
                    self.reference.usable(caller.min_remaining).is_some(),
                    "P5: the returned token is not valid for long enough"
                );
                Outcome::Token { generation }
            }
            Err(error) => {
                let gets_fetch_errors = caller.refreshes || !caller.min_remaining.is_zero();
                ensure!(
                    gets_fetch_errors || self.reference.usable(Duration::ZERO).is_none(),
                    "P3: an error while an unexpired token is stored: {error}"
                );
                Outcome::Error(info(&error))
            }
        };
        let Some(expected) = expected else {
            // The token was found usable above. In TooShort, a caller may get it early: an earlier waiter has set the
            // soft deadline. A clock that was set back can make an expired token usable again.
            let is_early = self.set_back || self.reference.freshness() == Freshness::TooShort;
            ensure!(is_early && matches!(actual, Outcome::Token { .. }), "a caller gets {actual:?} instead of waiting");
            return Ok(());
        };
        ensure!(actual == expected, "{}a caller gets {actual:?} instead of {expected:?}", promise(&expected));
        Ok(())
    }

    /// Answers the pending fetch. Its waiters are polled after what happens meanwhile.
    fn answer(&mut self, answer: Answer, meanwhile: Meanwhile) -> Result<(), String> {
        let Some(fetch) = self.fetch.take() else { return Ok(()) };
        self.answers += 1;
        let number = self.answers;
        let (token, end, refresh_in) = match answer {
            Answer::Fail => {
                fetch.fail(format!("outage {number}"));
                self.reply = Some(Reply::Failure { kind: ErrorKind::Source, cause: Some(number) });
                return self.complete(meanwhile);
            }
            Answer::FailPermanently => {
                fetch.fail_permanently(format!("outage {number}"));
                self.reply = Some(Reply::Failure { kind: ErrorKind::Permanent, cause: Some(number) });
                return self.complete(meanwhile);
            }
            Answer::Panic => {
                fetch.panic();
                self.reply = Some(Reply::Failure { kind: ErrorKind::Panicked, cause: None });
                return self.complete(meanwhile);
            }
            Answer::Repeat => match self.last_token {
                Some((value, end)) => (value, end, None),
                None => (number, Expiry::Never, None),
            },
            Answer::Never(refresh_in) => (number, Expiry::Never, refresh_in),
            Answer::Token { expiry, refresh_in } => {
                let wall = self.harness.clock.wall();
                let end = match expiry {
                    Lifetime::Past(duration) => Expiry::At(wall - duration),
                    Lifetime::Until(duration) => Expiry::At(wall + duration),
                    Lifetime::In(duration) => Expiry::In(duration),
                };
                (number, end, refresh_in)
            }
        };
        self.last_token = Some((token, end));
        let refresh_at = refresh_in.map(|duration| self.harness.clock.after(duration));
        let answer = match end {
            Expiry::At(wall) => TemporaryToken::new(token, wall),
            Expiry::In(lifetime) => TemporaryToken::expires_in(token, lifetime),
            Expiry::Never => TemporaryToken::never_expires(token),
        };
        fetch.succeed(match refresh_at {
            Some(wall) => answer.refresh_at(wall),
            None => answer,
        });
        self.reply = Some(Reply::Token { value: token, end, refresh_at });
        self.complete(meanwhile)
    }

    fn complete(&mut self, meanwhile: Meanwhile) -> Result<(), String> {
        self.run_fetch()?;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Invalidation => {
                if let Some(stored) = self.reference.stored {
                    self.invalidate(stored.generation)?;
                }
            }
            Meanwhile::Time(by) => self.move_clock(Clocks::Both, by),
        }
        Ok(())
    }

    fn invalidate(&mut self, generation: usize) -> Result<(), String> {
        self.harness.cache.invalidate(&self.tokens[generation - 1]);
        if self.reference.invalidate(generation) {
            self.reference.after_invalidation(self.harness.cache.status().next_attempt)?;
        }
        Ok(())
    }

    fn move_clock(&mut self, clocks: Clocks, by: By) {
        let duration = match by {
            By::Duration(duration) => duration,
            By::Deadline(which, offset) => match nth(self.reference.deadlines().iter(), which) {
                Some(duration) => shifted(*duration, offset),
                None => Duration::ZERO,
            },
        };
        match clocks {
            Clocks::Both => self.harness.clock.advance(duration),
            Clocks::Wall => self.harness.clock.suspend(duration),
            Clocks::WallBack => {
                self.harness.clock.set_wall(self.harness.clock.wall() - duration);
                self.set_back = true;
            }
        }
        self.reference.now = self.harness.clock.now();
    }

    fn min_remaining(&self, min_remaining: MinRemaining) -> Duration {
        let stored = self.reference.stored;
        match min_remaining {
            MinRemaining::Duration(duration) => duration,
            MinRemaining::Remaining(offset) => {
                shifted(stored.and_then(|stored| stored.remaining(self.reference.now)).unwrap_or(HOUR), offset)
            }
            MinRemaining::Initial(offset) => {
                shifted(stored.and_then(|stored| stored.initial_remaining()).unwrap_or(HOUR), offset)
            }
        }
    }

    /// Runs the fetch and polls the callers until all of them wait.
    fn settle(&mut self) -> Result<(), String> {
        self.run_fetch()?;
        while self.poll_woken()? {
            self.run_fetch()?;
        }
        for number in self.callers.keys().copied().collect::<Vec<_>>() {
            let caller = self.callers.get_mut(&number);
            let expected = caller.and_then(|caller| self.reference.poll(&mut caller.model));
            ensure!(expected.is_none(), "P12: a caller was not woken for {expected:?}");
        }
        Ok(())
    }

    /// Polls the callers that were woken, oldest first. Returns whether there were any.
    fn poll_woken(&mut self) -> Result<bool, String> {
        let woken = self.callers.iter().filter(|(_, caller)| caller.woken.0.load(Ordering::SeqCst));
        let woken: Vec<_> = woken.map(|(number, _)| *number).collect();
        for number in &woken {
            self.poll(*number)?;
        }
        Ok(!woken.is_empty())
    }

    /// Runs the fetch until it waits.
    fn run_fetch(&mut self) -> Result<(), String> {
        run_tasks(&self.runtimes);
        self.reference.run_fetch(self.reply.take(), self.harness.cache.status().next_attempt)?;
        if self.reference.generation > self.tokens.len() {
            let Some(token) = self.harness.cache.peek() else {
                return Err("P2: the new token is not stored".to_owned());
            };
            self.tokens.push(token);
        }
        while let Some(next) = self.harness.source.wait_for_fetch().now_or_never() {
            if let Some(mut last) = self.fetch.replace(next) {
                ensure!(last.aborted().now_or_never().is_some(), "P7: two fetches at once");
            }
            self.check_interval()?;
        }
        let (fetches, expected) = (self.harness.source.fetches(), self.reference.fetches);
        ensure!(fetches == expected, "P6, P7, P8, P14: {fetches} fetches instead of {expected}");
        self.check_fetch_is_dropped()
    }

    /// If the reference has no fetch, the cache must have dropped its own.
    fn check_fetch_is_dropped(&mut self) -> Result<(), String> {
        let dropped = if self.reference.pending.is_none() { self.fetch.take() } else { None };
        let Some(mut fetch) = dropped else { return Ok(()) };
        ensure!(fetch.aborted().now_or_never().is_some(), "P12: an abandoned fetch still runs");
        Ok(())
    }

    fn check_interval(&mut self) -> Result<(), String> {
        let now = self.harness.clock.now();
        if let Some(last) = self.last_start.replace(now) {
            let distance = now.monotonic() - last.monotonic();
            let interval = self.reference.settings.min_refresh_interval;
            ensure!(distance >= interval, "P8: two fetches started within {distance:?}");
        }
        Ok(())
    }

    /// Compares what is visible without a call.
    fn check(&mut self) -> Result<(), String> {
        let (status, peeked, now) = (self.harness.cache.status(), self.harness.cache.peek(), self.reference.now);
        let model = &self.reference;
        let usable = model.usable(Duration::ZERO);
        match (&peeked, usable) {
            (Some(token), Some(stored)) => {
                ensure!(**token == stored.value, "P6: peek returns another token");
                ensure!(Arc::ptr_eq(token, &self.tokens[stored.generation - 1]), "P4: peek returns a copy");
            }
            (Some(_), None) => {
                return Err("P2, P15: peek returns a token that has expired or was invalidated".to_owned());
            }
            (None, Some(_)) => return Err("P3, P15: peek does not return the token".to_owned()),
            (None, None) => {}
        }
        let failures = model.failure.as_ref().map_or(0, |failure| failure.consecutive_failures);
        let last = model.failure.as_ref().map(|failure| (failure.info.kind, failure.info.cause));
        let reported = status.last_error.as_ref().map(info).map(|info| (info.kind, info.cause));
        let age = model.stored.map(|stored| stored.age(now));
        let remaining = model.stored.and_then(|stored| stored.remaining(now));
        let next = model.until_next_attempt();
        ensure!(
            status.freshness == model.freshness(),
            "P17, P23: the freshness is {:?} instead of {:?}",
            status.freshness,
            model.freshness()
        );
        ensure!(status.generation == model.generation as u64, "P23: the generation is {}", status.generation);
        ensure!(status.remaining == remaining, "P17, P23: {:?} remaining instead of {remaining:?}", status.remaining);
        ensure!(status.age == age, "P23: an age of {:?} instead of {age:?}", status.age);
        ensure!(
            (status.fetch != token_cache_core::FetchState::Idle) == model.pending.is_some(),
            "P23: fetch is {:?}",
            status.fetch
        );
        ensure!(status.failures == failures, "P11, P23: {} failures instead of {failures}", status.failures);
        ensure!(reported == last, "P10, P23: the last error is {reported:?} instead of {last:?}");
        ensure!(
            status.next_attempt == next,
            "P8, P23: the next attempt in {:?} instead of {next:?}",
            status.next_attempt
        );
        let events: Vec<_> = self.harness.log.take().iter().map(event_info).collect();
        let expected = std::mem::take(&mut self.reference.events);
        ensure!(events == expected, "P23: the events {events:?} instead of {expected:?}");
        ensure!(self.harness.source.fetches() == self.reference.fetches, "P6: peek or status has started a fetch");
        Ok(())
    }

    /// Drops the cache, then the waiting callers.
    fn end(mut self) -> Result<(), String> {
        drop(self.harness.cache);
        run_tasks(&self.runtimes);
        if let Some(fetch) = &mut self.fetch {
            let (aborted, waited_for) = (fetch.aborted().now_or_never().is_some(), !self.callers.is_empty());
            ensure!(aborted != waited_for, "P14: only waiting callers have a handle, and aborted is {aborted}");
        }
        self.callers.clear();
        run_tasks(&self.runtimes);
        if let Some(fetch) = &mut self.fetch {
            ensure!(fetch.aborted().now_or_never().is_some(), "P14: a fetch runs without any handle");
        }
        let tasks = self.runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum::<usize>();
        ensure!(tasks == 0, "P14: {tasks} tasks are remaining");
        ensure!(
            self.harness.source.fetches() == self.reference.fetches,
            "P14: a fetch started after the last handle was dropped"
        );
        let is_kept = self.tokens.iter().any(|token| Arc::strong_count(token) > 1);
        ensure!(!is_kept, "P14: a token has outlived the cache");
        Ok(())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Runs the tasks of all runtimes until they wait.
fn run_tasks(runtimes: &[Runtime]) {
    for runtime in runtimes {
        runtime.block_on(async {
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// The promises that a wrong outcome breaks.
fn promise(expected: &Outcome) -> &'static str {
    match expected {
        Outcome::Token { .. } => "P1, P3, P10: ",
        Outcome::Error(info) => match info.kind {
            ErrorKind::TooShort => "P5: ",
            ErrorKind::NoRuntime => "P12: ",
            ErrorKind::Permanent => "P10, P13: ",
            _ => "P10: ",
        },
    }
}

fn info(error: &Error) -> ErrorInfo {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.and_then(|text| text.strip_prefix("outage ")?.parse().ok());
    ErrorInfo { kind: error.kind(), cause, retry_after: error.retry_after() }
}

fn event_info(event: &Event) -> EventInfo {
    match event {
        Event::FetchStarted { reason, .. } => EventInfo::Started(*reason),
        Event::FetchSucceeded { generation, remaining, took, .. } => {
            EventInfo::Succeeded { generation: index(*generation), remaining: *remaining, took: *took }
        }
        Event::FetchFailed { error, took, .. } => EventInfo::Failed(info(error), *took),
        Event::Invalidated { generation, .. } => EventInfo::Invalidated { generation: index(*generation) },
        other => panic!("unexpected event: {other:?}"),
    }
}

fn index(generation: u64) -> usize {
    usize::try_from(generation).unwrap()
}

fn shifted(duration: Duration, offset: Offset) -> Duration {
    const NANOSECOND: Duration = Duration::from_nanos(1);
    match offset {
        Offset::Before => duration.saturating_sub(NANOSECOND),
        Offset::At => duration,
        Offset::After => duration + NANOSECOND,
    }
}

/// One of the items, unless there are none.
fn nth<T>(items: impl ExactSizeIterator<Item = T>, which: usize) -> Option<T> {
    let mut items = items;
    let count = items.len();
    items.nth(which.checked_rem(count)?)
}

/// The panic message in an endless loop of the cache.
pub(crate) const ENDLESS_LOOP: &str = "P11, P12: an endless loop";

/// More than any step needs.
const MAX_READS: usize = 10_000;

const HOUR: Duration = Duration::from_secs(3600);
