//! Runs a program on the cache and on the reference, step by step. What is visible of the two must be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use token_cache_core::test_util::{Fetch, Harness, VirtualClock};
use token_cache_core::{Clock, Error, ErrorKind, Event, FetchState, Freshness, Subscription, TemporaryToken, View};
use tokio::runtime::Runtime;

use crate::harness::{Answers, eventually, harness, run_tasks, runtime, temporary};
use crate::history::Fact;
use crate::program::{
    Answer, By, Call, Clocks, Meanwhile, MinRemaining, NewToken, Offset, Place, Program, Settings, Step, Which,
};
use crate::reference::{self, Demand, ErrorInfo, EventInfo, Outcome, Reference, Reply};
use crate::token::Secret;

macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;

/// Runs a program, and drops the cache.
pub(crate) fn run(program: &Program) -> Result<(), String> {
    let mut walk = Walk::new(program.settings, program.initial);
    walk.check().map_err(|error| format!("before the first step: {error}"))?;
    for (number, step) in program.steps.iter().enumerate() {
        walk.step(step.step, step.callers_first)
            .and_then(|()| walk.check())
            .map_err(|error| format!("step {number}, {:?}: {error}", step.step))?;
    }
    walk.end().map_err(|error| format!("at the end: {error}"))
}

struct Walk {
    harness: Harness<Secret>,
    view: View<Secret, u32>,
    subscription: Subscription<Secret>,
    /// The generation up to which the subscription has looked.
    seen: u64,
    /// The number of times that the cache has read the clock in this step.
    reads: Arc<AtomicUsize>,
    runtimes: [Runtime; 2],
    reference: Reference,
    /// The waiting callers, by their number.
    callers: BTreeMap<u32, Caller>,
    calls: u32,
    /// The last fetch until it is answered, and its answer until the reference has it.
    fetch: Option<Fetch<Secret>>,
    reply: Option<Reply>,
    /// The time that has passed, also while the machine was suspended, and when the last fetch started.
    elapsed: Duration,
    last_start: Option<Duration>,
    answers: Answers,
    /// The token of each generation, and what the view has converted it to.
    tokens: Vec<Arc<Secret>>,
    converted: BTreeMap<u64, Arc<u32>>,
    conversions: Arc<Mutex<Vec<u32>>>,
    /// The generations that were reported as served after their expiry.
    reported_stale: BTreeSet<u64>,
}

/// A caller of the cache, and its counterpart in the reference. The walk decides when to poll it.
struct Caller {
    future: CallFuture,
    woken: Arc<Woken>,
    is_view: bool,
    model: reference::Caller,
}

type CallFuture = Pin<Box<dyn Future<Output = Result<Returned, Error>>>>;

/// What a caller gets.
enum Returned {
    Token(Arc<Secret>),
    Converted(Arc<u32>),
    WithTimes { token: Arc<Secret>, generation: u64, expires_at: Option<SystemTime> },
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Walk {
    fn new(settings: Settings, initial: Option<NewToken>) -> Self {
        let reads = Arc::new(AtomicUsize::new(0));
        let (mut answers, start) = (Answers::default(), VirtualClock::new().now());
        let initial = initial.map(|token| answers.state(token, start.wall()));
        let harness = harness(settings, initial, Duration::ZERO, &reads);
        let conversions = Arc::new(Mutex::new(Vec::new()));
        let view = harness.cache.view({
            let conversions = Arc::clone(&conversions);
            move |secret: &Secret| {
                conversions.lock().unwrap().push(secret.serial);
                secret.serial
            }
        });
        let subscription = harness.cache.subscribe();
        let reference = Reference::new(settings, initial, start);
        let tokens: Vec<_> = harness.cache.peek().into_iter().collect();
        Self {
            seen: tokens.len() as u64,
            harness,
            view,
            subscription,
            reads,
            runtimes: [runtime(), runtime()],
            reference,
            callers: BTreeMap::new(),
            calls: 0,
            fetch: None,
            reply: None,
            elapsed: Duration::ZERO,
            last_start: None,
            answers,
            tokens,
            converted: BTreeMap::new(),
            conversions,
            reported_stale: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: Step, callers_first: bool) -> Result<(), String> {
        self.reads.store(0, Ordering::SeqCst);
        match step {
            Step::Call(call, place) => self.call(call, place)?,
            Step::Answer(answer, meanwhile) => self.answer(answer, meanwhile)?,
            Step::Clock(clocks, by) => self.move_clock(clocks, by),
            Step::Drop(which) => {
                if let Some(&number) = nth(self.callers.keys(), which) {
                    self.callers.remove(&number);
                }
            }
            Step::Invalidate(which) => {
                if let Some((token, generation)) = self.which(which) {
                    self.harness.cache.invalidate(&token);
                    self.reference.invalidate(generation, *token);
                }
            }
            Step::Store(token) => self.store(token)?,
            Step::DropRuntime { runtime, keep_callers } => {
                if !keep_callers {
                    self.callers.retain(|_, caller| caller.model.place != Place::Runtime(runtime));
                }
                self.runtimes[runtime] = crate::harness::runtime();
                self.reference.drop_runtime(runtime);
                self.check_fetch_is_dropped()?;
            }
        }
        // A fetch notices its timeout by its own timer first. A caller in another runtime would notice it too.
        if callers_first && !self.reference.history.is_overdue() {
            self.poll_woken()?;
        }
        self.settle()
    }

    /// Adds a caller, and polls it once.
    fn call(&mut self, call: Call, place: Place) -> Result<(), String> {
        let (cache, view) = (self.harness.cache.clone(), self.view.clone());
        let get = |min_remaining| Demand::Get { min_remaining, stored: false };
        let get_stored = Demand::Get { min_remaining: Duration::ZERO, stored: true };
        let (demand, future): (_, CallFuture) = match call {
            Call::Get => (get(Duration::ZERO), Box::pin(async move { cache.get().await.map(Returned::Token) })),
            Call::GetValidFor(min_remaining) => {
                let min_remaining = self.min_remaining(min_remaining);
                let future = async move { cache.get_valid_for(min_remaining).await.map(Returned::Token) };
                (get(min_remaining), Box::pin(future))
            }
            Call::GetView => (get_stored, Box::pin(async move { view.get().await.map(Returned::Converted) })),
            Call::GetWithTimes => {
                let future = async move {
                    let with_times = cache.get_with_times().await?;
                    let (generation, expires_at) = (with_times.generation, with_times.expires_at);
                    Ok(Returned::WithTimes { token: with_times.token, generation, expires_at })
                };
                (get_stored, Box::pin(future))
            }
            Call::Refresh => (Demand::Refresh, Box::pin(async move { cache.refresh().await.map(Returned::Token) })),
            Call::Replace(which) => {
                let Some((token, generation)) = self.which(which) else { return Ok(()) };
                let secret = *token;
                let future = async move { cache.replace(&token).await.map(Returned::Token) };
                (Demand::Replace { generation, secret }, Box::pin(future))
            }
        };
        let is_hit = match (demand, self.reference.history.freshness()) {
            (Demand::Get { min_remaining, .. }, Freshness::Fresh | Freshness::NearExpiry) => {
                self.reference.history.usable(min_remaining).is_some()
            }
            _ => false,
        };
        let model = reference::Caller::new(place, demand);
        let number = self.calls;
        self.calls += 1;
        self.callers.insert(
            number,
            Caller {
                future,
                woken: Arc::new(Woken(AtomicBool::new(false))),
                is_view: matches!(call, Call::GetView),
                model,
            },
        );
        let waits = self.poll(number)?;
        ensure!(!(is_hit && waits), "P1: a caller waits although a usable token is stored");
        Ok(())
    }

    /// A token that a caller rejects, and its generation.
    fn which(&self, which: Which) -> Option<(Arc<Secret>, u64)> {
        let generation = |index: usize| index as u64 + 1;
        match which {
            Which::Unknown => {
                let secret = self.reference.history.last_token().map_or(Secret { value: 0, serial: 0 }, |t| t.secret);
                Some((Arc::new(secret), 0))
            }
            Which::Older(which) => {
                let index = which.checked_rem(self.tokens.len())?;
                Some((Arc::clone(&self.tokens[index]), generation(index)))
            }
            Which::Stored => {
                let stored = self.reference.history.stored()?.generation;
                Some((Arc::clone(&self.tokens[index(stored)]), stored))
            }
        }
    }

    /// Polls a caller, and returns whether it still waits.
    fn poll(&mut self, number: u32) -> Result<bool, String> {
        let last = self.conversions.lock().unwrap().last().copied();
        let last = last.and_then(|serial| self.tokens.iter().position(|token| token.serial == serial));
        let Some(caller) = self.callers.get_mut(&number) else { return Ok(false) };
        caller.model.converted = last.filter(|_| caller.is_view).map(|index| index as u64 + 1);
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
    fn compare(
        &mut self,
        caller: &reference::Caller,
        result: Result<Returned, Error>,
        expected: Option<Outcome>,
    ) -> Result<(), String> {
        let actual = match &result {
            Ok(returned) => Outcome::Token { generation: self.generation_of(returned)? },
            Err(error) => Outcome::Error(info(error)),
        };
        let Some(expected) = expected else { return Err(format!("a caller gets {actual:?} instead of waiting")) };
        // What the fetch has brought is as good a result as a token that was stored since.
        let is_brought = caller.brought.is_some_and(|generation| self.reference.given(caller, generation) == actual);
        ensure!(
            actual == expected || (is_brought && matches!(expected, Outcome::Token { .. })),
            "{}a caller of {:?} gets {actual:?} instead of {expected:?}",
            promise(&expected),
            caller.demand
        );
        // These hold for every outcome, whatever the reference computes.
        let (history, now) = (&self.reference.history, self.reference.history.now);
        match (actual, caller.demand) {
            (Outcome::Token { generation }, demand) => {
                let token = history.token(generation);
                let is_valid = token.is_some_and(|token| token.has(demand.min_remaining(), now));
                ensure!(
                    is_valid || history.stale().is_some(),
                    "P2, P5: the token has expired, or is not valid long enough"
                );
            }
            (Outcome::Error(error), Demand::Get { min_remaining, .. }) => ensure!(
                history.usable(min_remaining).is_none(),
                "P3: an error while an unexpired token is stored: {error:?}"
            ),
            _ => {}
        }
        Ok(())
    }

    /// The generation of what a caller got, if it is the only copy of it.
    fn generation_of(&mut self, returned: &Returned) -> Result<u64, String> {
        let of = |token: &Arc<Secret>, tokens: &[Arc<Secret>]| {
            let index = tokens.iter().position(|known| Arc::ptr_eq(known, token));
            index
                .map(|index| index as u64 + 1)
                .ok_or_else(|| format!("P4, P11: {token:?} was never stored, or is a copy"))
        };
        match returned {
            Returned::Token(token) => of(token, &self.tokens),
            Returned::Converted(converted) => {
                let index = self.tokens.iter().position(|token| token.serial == **converted);
                let generation = index.ok_or("P4: a view has converted a token that was never stored")? as u64 + 1;
                let first = self.converted.entry(generation).or_insert_with(|| Arc::clone(converted));
                ensure!(Arc::ptr_eq(first, converted), "P4: a view returns a copy");
                Ok(generation)
            }
            Returned::WithTimes { token, generation, expires_at } => {
                ensure!(of(token, &self.tokens)? == *generation, "P25: the generation is {generation}");
                let now = self.reference.history.now;
                let remaining = self.reference.history.token(*generation).and_then(|token| token.remaining(now));
                let expected = remaining.map(|remaining| now.wall() + remaining);
                ensure!(*expires_at == expected, "P25: it expires at {expires_at:?} instead of {expected:?}");
                Ok(*generation)
            }
        }
    }

    /// Answers the pending fetch. Its waiters are polled after what happens meanwhile.
    fn answer(&mut self, answer: Answer, meanwhile: Meanwhile) -> Result<(), String> {
        let Some(fetch) = self.fetch.take() else { return Ok(()) };
        let reply = self.answers.answer(fetch, answer, self.harness.clock.wall());
        self.reply = Some(reply);
        self.run_fetch()?;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Invalidation => {
                if let Some((token, generation)) = self.which(Which::Stored) {
                    self.harness.cache.invalidate(&token);
                    self.reference.invalidate(generation, *token);
                }
            }
            Meanwhile::Store(token) => self.store(token)?,
            Meanwhile::Time(by) => self.move_clock(Clocks::Both, by),
        }
        Ok(())
    }

    fn store(&mut self, token: NewToken) -> Result<(), String> {
        let stated = self.answers.state(token, self.harness.clock.wall());
        let result = self.harness.cache.store(temporary(stated));
        let expected = self.reference.store(stated);
        match (&result, expected) {
            (Ok(token), Some(_)) => self.tokens.push(Arc::clone(token)),
            (Err(error), None) if error.kind() == ErrorKind::AlreadyExpired => {}
            _ => return Err(format!("P26: store returns {result:?} instead of generation {expected:?}")),
        }
        self.check_fetch_is_dropped()
    }

    fn move_clock(&mut self, clocks: Clocks, by: By) {
        let duration = match by {
            By::Duration(duration) => duration,
            By::Deadline(which, offset) => match nth(self.reference.history.deadlines().iter(), which) {
                Some(duration) => shifted(*duration, offset),
                None => Duration::ZERO,
            },
        };
        if !matches!(clocks, Clocks::WallBack) {
            self.elapsed += duration;
        }
        match clocks {
            Clocks::Both => self.harness.clock.advance(duration),
            Clocks::Wall => self.harness.clock.suspend(duration),
            Clocks::WallBack => {
                self.harness.clock.set_wall(self.harness.clock.wall() - duration);
                // Readers are served by the last decision until the next one, which this makes.
                let expired = TemporaryToken::expires_in(Secret { value: 0, serial: 0 }, Duration::ZERO);
                let _ = self.harness.cache.store(expired);
            }
        }
        self.reference.history.now = self.harness.clock.now();
        if !matches!(clocks, Clocks::Both) {
            self.reference.history.push(Fact::WallMoved);
        }
    }

    fn min_remaining(&self, min_remaining: MinRemaining) -> Duration {
        let (stored, now) = (self.reference.history.stored(), self.reference.history.now);
        match min_remaining {
            MinRemaining::Duration(duration) => duration,
            MinRemaining::Remaining(offset) => {
                shifted(stored.and_then(|stored| stored.remaining(now)).unwrap_or(HOUR), offset)
            }
            MinRemaining::Initial(offset) => {
                shifted(stored.and_then(|stored| stored.was_valid_for()).unwrap_or(HOUR), offset)
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
        let has_started = self.harness.source.fetches() > self.reference.history.fetches();
        self.reference.run_fetch(has_started, self.reply.take());
        if self.reference.history.generation() > self.tokens.len() as u64 {
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
        let (fetches, expected) = (self.harness.source.fetches(), self.reference.history.fetches());
        ensure!(fetches == expected, "P6, P7, P8, P14: {fetches} fetches instead of {expected}");
        self.check_fetch_is_dropped()
    }

    /// If the reference has no fetch, the cache must have dropped its own.
    fn check_fetch_is_dropped(&mut self) -> Result<(), String> {
        let dropped = if self.reference.history.pending().is_none() { self.fetch.take() } else { None };
        let Some(mut fetch) = dropped else { return Ok(()) };
        run_tasks(&self.runtimes);
        ensure!(fetch.aborted().now_or_never().is_some(), "P12, P26: an abandoned fetch still runs");
        Ok(())
    }

    fn check_interval(&mut self) -> Result<(), String> {
        if let Some(last) = self.last_start.replace(self.elapsed) {
            let distance = self.elapsed - last;
            let interval = self.reference.history.settings.min_refresh_interval;
            ensure!(distance >= interval, "P8: two fetches started within {distance:?}");
        }
        Ok(())
    }

    /// Compares what is visible without a call.
    fn check(&mut self) -> Result<(), String> {
        let (status, peeked) = (self.harness.cache.status(), self.harness.cache.peek());
        let (history, now) = (&self.reference.history, self.reference.history.now);
        match (&peeked, history.usable(Duration::ZERO)) {
            (Some(token), Some(stored)) => {
                let is_same = Arc::ptr_eq(token, &self.tokens[index(stored.generation)]);
                ensure!(is_same && **token == stored.secret, "P4, P6: peek returns another token");
            }
            (Some(_), None) => {
                return Err("P2, P15: peek returns a token that has expired or was invalidated".to_owned());
            }
            (None, Some(_)) => return Err("P3, P15: peek does not return the token".to_owned()),
            (None, None) => {}
        }
        let stored = history.stored();
        let last = history.last_failure().map(|(_, failure)| (failure.kind, failure.cause));
        let reported = status.last_error.as_ref().map(info).map(|info| (info.kind, info.cause));
        let age = stored.map(|stored| now.monotonic() - stored.stored_at.monotonic());
        let remaining = stored.and_then(|stored| stored.remaining(now));
        let next = history.until_next_attempt();
        let freshness = history.freshness();
        let fetch = match history.pending() {
            None => FetchState::Idle,
            Some((fetch, ..)) if history.started(fetch).is_some() => FetchState::Running,
            Some(_) => FetchState::Waiting,
        };
        let (failures, serving_expired) = (history.failures(), history.stale().is_some());
        ensure!(status.freshness == freshness, "P17, P23: {:?} instead of {freshness:?}", status.freshness);
        ensure!(status.generation == history.generation(), "P23: the generation is {}", status.generation);
        ensure!(status.remaining == remaining, "P17, P23: {:?} remaining instead of {remaining:?}", status.remaining);
        ensure!(status.age == age, "P23: an age of {:?} instead of {age:?}", status.age);
        ensure!(status.fetch == fetch, "P23: {:?} instead of {fetch:?}", status.fetch);
        ensure!(status.failures as usize == failures, "P11, P23: {} failures instead of {failures}", status.failures);
        ensure!(reported == last, "P10, P23: the last error is {reported:?} instead of {last:?}");
        ensure!(
            status.next_attempt == next,
            "P8, P23: the next attempt in {:?} instead of {next:?}",
            status.next_attempt
        );
        ensure!(status.serving_expired == serving_expired, "P20, P23: serving_expired is {}", status.serving_expired);
        let (stale, events): (Vec<_>, Vec<_>) =
            self.harness.log.take().into_iter().partition(|event| matches!(event, Event::ServedExpired { .. }));
        self.check_served_expired(&stale)?;
        let events: Vec<_> = events.iter().map(event_info).collect();
        let expected = std::mem::take(&mut self.reference.events);
        ensure!(events == expected, "P23: the events {events:?} instead of {expected:?}");
        ensure!(self.harness.source.fetches() == self.reference.history.fetches(), "P6: peek or status has fetched");
        self.check_subscription()?;
        self.check_conversions()
    }

    /// The event is emitted once per token, at the latest when a caller gets it. It may be emitted before, when the fetch fails.
    fn check_served_expired(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            let Event::ServedExpired { generation, .. } = event else { continue };
            let is_first = self.reported_stale.insert(*generation);
            ensure!(is_first, "P20, P23: generation {generation} is reported twice as served after its expiry");
            let is_allowed = !self.reference.history.settings.stale_if_error.is_zero();
            ensure!(is_allowed, "P20, P23: generation {generation} is reported as served after its expiry");
        }
        let missing =
            self.reference.served_expired.drain(..).find(|generation| !self.reported_stale.contains(generation));
        ensure!(missing.is_none(), "P20, P23: generation {missing:?} is not reported as served after its expiry");
        Ok(())
    }

    /// A subscriber who looks after each step gets each new token once.
    fn check_subscription(&mut self) -> Result<(), String> {
        let history = &self.reference.history;
        let usable = history.usable(Duration::ZERO).map(|token| token.generation);
        let expected = usable.filter(|generation| *generation > self.seen);
        self.seen = history.generation();
        let token = self.subscription.changed().now_or_never().flatten();
        let actual = token.and_then(|token| self.tokens.iter().position(|known| Arc::ptr_eq(known, &token)));
        let actual = actual.map(|index| index as u64 + 1);
        ensure!(actual == expected, "P24: a subscriber gets generation {actual:?} instead of {expected:?}");
        let again = self.subscription.changed().now_or_never().flatten();
        ensure!(again.is_none(), "P24: a subscriber gets a token twice");
        Ok(())
    }

    fn check_conversions(&self) -> Result<(), String> {
        let mut serials = self.conversions.lock().unwrap().clone();
        let count = serials.len();
        serials.sort_unstable();
        serials.dedup();
        ensure!(serials.len() == count, "P4: a view has converted a token twice");
        Ok(())
    }

    /// Drops the cache, then the waiting callers.
    fn end(mut self) -> Result<(), String> {
        drop((self.harness.cache, self.view));
        run_tasks(&self.runtimes);
        if let Some(fetch) = &mut self.fetch
            && !self.callers.is_empty()
        {
            ensure!(fetch.aborted().now_or_never().is_none(), "P14: a fetch is aborted that callers wait for");
        }
        self.callers.clear();
        let is_aborted = |fetch: &mut Fetch<_>| fetch.aborted().now_or_never().is_some();
        let aborted = eventually(|| {
            run_tasks(&self.runtimes);
            self.fetch.as_mut().is_none_or(is_aborted)
        });
        ensure!(aborted, "P14: a fetch runs without any handle");
        let ended = eventually(|| {
            run_tasks(&self.runtimes);
            self.runtimes.iter().all(|runtime| runtime.metrics().num_alive_tasks() == 0)
        });
        ensure!(ended, "P14: tasks are remaining");
        ensure!(
            self.harness.source.fetches() == self.reference.history.fetches(),
            "P14: a fetch started after the last handle was dropped"
        );
        let is_closed = eventually(|| self.subscription.changed().now_or_never().is_some_and(|token| token.is_none()));
        ensure!(is_closed, "P24: a subscription outlives the cache");
        let is_kept = || self.tokens.iter().any(|token| Arc::strong_count(token) > 1);
        ensure!(eventually(|| !is_kept()), "P14, P28: a token has outlived the cache");
        Ok(())
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
            ErrorKind::Rejected => "P15, P16: ",
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
            EventInfo::Succeeded { generation: *generation, remaining: *remaining, took: *took }
        }
        Event::FetchFailed { error, failures, took, .. } => {
            EventInfo::Failed { error: info(error), failures: *failures as usize, took: *took }
        }
        Event::Stored { generation, remaining, .. } => {
            EventInfo::Stored { generation: *generation, remaining: *remaining }
        }
        Event::Invalidated { generation, .. } => EventInfo::Invalidated { generation: *generation },
        other => panic!("unexpected event: {other:?}"),
    }
}

/// The position of a generation, which count from one.
fn index(generation: u64) -> usize {
    usize::try_from(generation - 1).unwrap()
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

const HOUR: Duration = Duration::from_secs(3600);
