//! A program run on the cache and on the reference, side by side: after each thing that one of them does, so does the
//! other, and what can be seen of both must be the same.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use token_cache_core::{Clock, Error, ErrorKind, Event, Freshness, TemporaryToken, TimePoint, TokenCache};
use token_cache_testing::{EventLog, Fetch, SourceHandle, VirtualClock, mock_source};
use tokio::runtime::{Builder, Runtime};

use crate::program::{Answer, Beside, Buffer, By, Hands, Life, Meanwhile, Place, Program, Settings, Step, Want, Which};
use crate::reference::{self, Expiry, Happened, Outcome, Reference, Refusal, Reply};

type Answered = Result<Arc<u32>, Error>;

macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return Err(format!($($message)+));
        }
    };
}

/// Runs a program to its end, and takes the cache down after it.
pub(crate) fn run(program: &Program) -> Result<(), String> {
    let mut walk = Walk::new(program.settings);
    walk.look().map_err(|error| format!("before the first step: {error}"))?;
    for (number, turn) in program.turns.iter().enumerate() {
        walk.step(turn.step, turn.callers_first)
            .and_then(|()| walk.look())
            .map_err(|error| format!("step {number}, {:?}: {error}", turn.step))?;
    }
    walk.end().map_err(|error| format!("at the end: {error}"))
}

struct Walk {
    cache: TokenCache<u32>,
    source: SourceHandle<u32>,
    clock: VirtualClock,
    /// How often the cache has read the clock in this turn.
    reads: Arc<AtomicUsize>,
    log: EventLog,
    runtimes: [Runtime; 2],
    reference: Reference,
    /// Those who wait, by their number.
    callers: BTreeMap<u32, Caller>,
    called: u32,
    /// What the source was asked last, and how the walk has answered.
    fetch: Option<Fetch<u32>>,
    reply: Option<Reply>,
    /// When the last fetch began.
    last_start: Option<TimePoint>,
    answers: u32,
    last_token: Option<(u32, Expiry)>,
    /// The token of each generation.
    tokens: Vec<Arc<u32>>,
    /// Whether the wall clock was ever set back.
    set_back: bool,
}

/// A caller, as the cache sees it and as the reference does. No task: the walk decides who is polled when.
struct Caller {
    future: Pin<Box<dyn Future<Output = Answered>>>,
    woken: Arc<Woken>,
    model: reference::Caller,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A clock that notices when nobody does anything but read it.
#[derive(Debug)]
struct Watched {
    clock: VirtualClock,
    reads: Arc<AtomicUsize>,
}

impl Watched {
    /// A loop within one poll cannot be stopped otherwise.
    fn count(&self) {
        assert!(self.reads.fetch_add(1, Ordering::SeqCst) < TOO_OFTEN, "{ENDLESS}");
    }
}

impl Clock for Watched {
    fn now(&self) -> TimePoint {
        self.count();
        self.clock.now()
    }

    fn tick(&self) -> Option<u64> {
        self.count();
        self.clock.tick()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}

impl Walk {
    fn new(settings: Settings) -> Self {
        let (clock, log, reads) = (VirtualClock::new(), EventLog::new(), Arc::new(AtomicUsize::new(0)));
        let (mock, source) = mock_source();
        let builder = TokenCache::builder(mock)
            // Rejections that may be undone by an issuer that repeats itself are tested by example.
            .token_eq(|_, _| false)
            .jitter(0.0)
            .min_ttl(settings.min_ttl)
            .min_refresh_interval(settings.min_refresh_interval)
            .max_backoff(settings.max_backoff)
            .fetch_timeout(settings.fetch_timeout)
            .clock(Watched { clock: clock.clone(), reads: Arc::clone(&reads) })
            .on_event(log.listener());
        let builder = match settings.expiry_buffer {
            Buffer::Fixed(span) => builder.expiry_buffer(span),
            Buffer::Share(percent) => builder.expiry_buffer_by(move |lifetime| lifetime * percent / 100),
        };
        let reference = Reference::new(settings, clock.now());
        Self {
            cache: builder.build(),
            source,
            clock,
            reads,
            log,
            runtimes: [runtime(), runtime()],
            reference,
            callers: BTreeMap::new(),
            called: 0,
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
            Step::GetValidFor(place, want) => self.call(place, self.want(want), false)?,
            Step::Refresh(place) => self.call(place, Duration::ZERO, true)?,
            Step::Answer(answer, meanwhile) => self.answer(answer, meanwhile)?,
            Step::Clock(hands, by) => self.move_clock(hands, by),
            Step::Drop(which) => {
                if let Some(&number) = nth(self.callers.keys(), which) {
                    self.callers.remove(&number);
                }
            }
            Step::Invalidate(Which::Foreign) => {
                let foreign = self.reference.held.map_or(0, |held| held.value);
                self.cache.invalidate(&Arc::new(foreign));
            }
            Step::Invalidate(Which::Older(which)) => {
                if !self.tokens.is_empty() {
                    self.invalidate(which % self.tokens.len() + 1)?;
                }
            }
            Step::Invalidate(Which::Stored) => {
                if let Some(held) = self.reference.held {
                    self.invalidate(held.generation)?;
                }
            }
            Step::LoseRuntime { runtime, callers_go_on } => {
                if !callers_go_on {
                    self.callers.retain(|_, caller| caller.model.place != Place::Runtime(runtime));
                }
                self.runtimes[runtime] = self::runtime();
                self.reference.lose_runtime(runtime);
                self.check_fetch_is_gone()?;
            }
        }
        // A fetch at the end of its time is told by its own timer: that of a caller in another runtime tells the same.
        if callers_first && !self.reference.is_overdue() {
            self.poll_woken()?;
        }
        self.settle()
    }

    /// A caller comes, and is polled once.
    fn call(&mut self, place: Place, want: Duration, refreshes: bool) -> Result<(), String> {
        let at_hand = match self.reference.freshness() {
            Freshness::Fresh | Freshness::NearExpiry => self.reference.usable(want).is_some() && !refreshes,
            _ => false,
        };
        let cache = self.cache.clone();
        let future: Pin<Box<dyn Future<Output = Answered>>> = match (refreshes, want) {
            (true, _) => Box::pin(async move { cache.refresh().await }),
            (false, Duration::ZERO) => Box::pin(async move { cache.get().await }),
            (false, want) => Box::pin(async move { cache.get_valid_for(want).await }),
        };
        let model = reference::Caller::new(place, want, refreshes);
        let number = self.called;
        self.called += 1;
        self.callers.insert(number, Caller { future, woken: Arc::new(Woken(AtomicBool::new(false))), model });
        let waits = self.poll(number)?;
        ensure!(!(at_hand && waits), "P1: with a token at hand a caller had to wait");
        Ok(())
    }

    /// Polls a caller, and returns whether it goes on waiting.
    fn poll(&mut self, number: u32) -> Result<bool, String> {
        let Some(caller) = self.callers.get_mut(&number) else { return Ok(false) };
        caller.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&caller.woken));
        let answered = {
            let _inside = match caller.model.place {
                Place::Runtime(runtime) => Some(self.runtimes[runtime].enter()),
                Place::Outside => None,
            };
            caller.future.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let expected = self.reference.poll(&mut caller.model);
        let model = caller.model;
        match (answered, expected) {
            (Poll::Pending, None) => return Ok(true),
            (Poll::Pending, Some(expected)) => {
                return Err(format!("{}a caller waits who should have {expected:?}", promise(&expected)));
            }
            (Poll::Ready(answered), expected) => self.compare(&model, answered, expected)?,
        }
        self.callers.remove(&number);
        Ok(false)
    }

    /// Whether a caller has got what it should.
    fn compare(&self, caller: &reference::Caller, answered: Answered, expected: Option<Outcome>) -> Result<(), String> {
        let held = self.reference.held;
        let got = match answered {
            Ok(token) => {
                let generation = self.tokens.iter().position(|known| Arc::ptr_eq(known, &token));
                let Some(generation) = generation.map(|index| index + 1) else {
                    return Err(format!("P2, P4, P11: {token} was handed out, of which nothing is known, or a copy"));
                };
                let is_held = held.is_some_and(|held| held.generation == generation);
                ensure!(is_held, "P15: a token was handed out that is not the stored one");
                ensure!(self.reference.freshness() != Freshness::Expired, "P2: an expired token was handed out");
                ensure!(self.reference.usable(caller.want).is_some(), "P5: a token was handed out that does not last");
                Outcome::Token { generation }
            }
            Err(error) => {
                let told_of_its_fetch = caller.refreshes || !caller.want.is_zero();
                ensure!(
                    told_of_its_fetch || self.reference.usable(Duration::ZERO).is_none(),
                    "P3: an error while an unexpired token is stored: {error}"
                );
                Outcome::Refused(refusal(&error))
            }
        };
        let Some(expected) = expected else {
            // That the token is good, was seen above. Who waits in TooShort for it to be replaced may have it early where another
            // has set the patience before him; and a clock that was set back makes good again what others wait to be replaced.
            let is_early = self.set_back || self.reference.freshness() == Freshness::TooShort;
            ensure!(is_early && matches!(got, Outcome::Token { .. }), "a caller has {got:?} who should wait");
            return Ok(());
        };
        ensure!(got == expected, "{}a caller has {got:?} who should have {expected:?}", promise(&expected));
        Ok(())
    }

    /// Answers the pending fetch. Those who waited for it wake after what happens meanwhile.
    fn answer(&mut self, answer: Answer, meanwhile: Meanwhile) -> Result<(), String> {
        let Some(fetch) = self.fetch.take() else { return Ok(()) };
        self.answers += 1;
        let number = self.answers;
        let (token, end, refresh_in) = match answer {
            Answer::Fail => {
                fetch.fail(format!("outage {number}"));
                self.reply = Some(Reply::Failure { kind: ErrorKind::Source, cause: Some(number) });
                return self.land(meanwhile);
            }
            Answer::FailForGood => {
                fetch.fail_permanently(format!("outage {number}"));
                self.reply = Some(Reply::Failure { kind: ErrorKind::Permanent, cause: Some(number) });
                return self.land(meanwhile);
            }
            Answer::Panic => {
                fetch.panic();
                self.reply = Some(Reply::Failure { kind: ErrorKind::Panicked, cause: None });
                return self.land(meanwhile);
            }
            Answer::Again => match self.last_token {
                Some((value, end)) => (value, end, None),
                None => (number, Expiry::Never, None),
            },
            Answer::Never(refresh_in) => (number, Expiry::Never, refresh_in),
            Answer::Token { life, refresh_in } => {
                let wall = self.clock.wall();
                let end = match life {
                    Life::Ago(span) => Expiry::At(wall - span),
                    Life::Until(span) => Expiry::At(wall + span),
                    Life::In(span) => Expiry::In(span),
                };
                (number, end, refresh_in)
            }
        };
        self.last_token = Some((token, end));
        let refresh_at = refresh_in.map(|span| self.clock.after(span));
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
        self.land(meanwhile)
    }

    fn land(&mut self, meanwhile: Meanwhile) -> Result<(), String> {
        self.fly()?;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Rejection => {
                if let Some(held) = self.reference.held {
                    self.invalidate(held.generation)?;
                }
            }
            Meanwhile::Time(by) => self.move_clock(Hands::Both, by),
        }
        Ok(())
    }

    fn invalidate(&mut self, generation: usize) -> Result<(), String> {
        self.cache.invalidate(&self.tokens[generation - 1]);
        if self.reference.invalidate(generation) {
            self.reference.after_rejection(self.cache.status().next_attempt)?;
        }
        Ok(())
    }

    fn move_clock(&mut self, hands: Hands, by: By) {
        let span = match by {
            By::Span(span) => span,
            By::To(which, beside) => match nth(self.reference.ahead().iter(), which) {
                Some(span) => shifted(*span, beside),
                None => Duration::ZERO,
            },
        };
        match hands {
            Hands::Both => self.clock.advance(span),
            Hands::Wall => self.clock.suspend(span),
            Hands::WallBack => {
                self.clock.set_wall(self.clock.wall() - span);
                self.set_back = true;
            }
        }
        self.reference.now = self.clock.now();
    }

    fn want(&self, want: Want) -> Duration {
        let held = self.reference.held;
        match want {
            Want::Span(span) => span,
            Want::Left(beside) => shifted(held.and_then(|held| held.left(self.reference.now)).unwrap_or(HOUR), beside),
            Want::Whole(beside) => shifted(held.and_then(|held| held.whole()).unwrap_or(HOUR), beside),
        }
    }

    /// Lets the fetch and all who wait go on until nobody can.
    fn settle(&mut self) -> Result<(), String> {
        self.fly()?;
        while self.poll_woken()? {
            self.fly()?;
        }
        for number in self.callers.keys().copied().collect::<Vec<_>>() {
            let caller = self.callers.get_mut(&number);
            let expected = caller.and_then(|caller| self.reference.poll(&mut caller.model));
            ensure!(expected.is_none(), "P12: nobody has woken a caller who should have {expected:?}");
        }
        Ok(())
    }

    /// Polls those who were woken, in the order in which they came. Returns whether there were any.
    fn poll_woken(&mut self) -> Result<bool, String> {
        let woken = self.callers.iter().filter(|(_, caller)| caller.woken.0.load(Ordering::SeqCst));
        let woken: Vec<_> = woken.map(|(number, _)| *number).collect();
        for number in &woken {
            self.poll(*number)?;
        }
        Ok(!woken.is_empty())
    }

    /// Lets the fetch go on until it waits.
    fn fly(&mut self) -> Result<(), String> {
        run_tasks(&self.runtimes);
        self.reference.fly(self.reply.take(), self.cache.status().next_attempt)?;
        if self.reference.generation > self.tokens.len() {
            let Some(token) = self.cache.peek() else { return Err("P2: the new token is not there".to_owned()) };
            self.tokens.push(token);
        }
        while let Some(next) = self.source.next_fetch().now_or_never() {
            if let Some(mut last) = self.fetch.replace(next) {
                ensure!(last.aborted().now_or_never().is_some(), "P7: two fetches at once");
            }
            self.note_start()?;
        }
        let (fetches, expected) = (self.source.fetches(), self.reference.fetches);
        ensure!(fetches == expected, "P6, P7, P8, P14: {fetches} fetches have begun, and not {expected}");
        self.check_fetch_is_gone()
    }

    /// Without a flight there is no fetch.
    fn check_fetch_is_gone(&mut self) -> Result<(), String> {
        let gone = if self.reference.flight.is_none() { self.fetch.take() } else { None };
        let Some(mut fetch) = gone else { return Ok(()) };
        ensure!(fetch.aborted().now_or_never().is_some(), "P12: a fetch goes on that was given up");
        Ok(())
    }

    fn note_start(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        if let Some(last) = self.last_start.replace(now) {
            let distance = now.monotonic() - last.monotonic();
            let interval = self.reference.settings.min_refresh_interval;
            ensure!(distance >= interval, "P8: two fetches began within {distance:?}");
        }
        Ok(())
    }

    /// Compares what can be seen without calling.
    fn look(&mut self) -> Result<(), String> {
        let (status, peeked, now) = (self.cache.status(), self.cache.peek(), self.reference.now);
        let model = &self.reference;
        let usable = model.usable(Duration::ZERO);
        match (&peeked, usable) {
            (Some(token), Some(held)) => {
                ensure!(**token == held.value, "P6: peek shows another token");
                ensure!(Arc::ptr_eq(token, &self.tokens[held.generation - 1]), "P4: peek shows a copy");
            }
            (Some(_), None) => return Err("P2, P15: peek shows a token that has expired or was rejected".to_owned()),
            (None, Some(_)) => return Err("P3, P15: peek does not show the token".to_owned()),
            (None, None) => {}
        }
        let failures = model.failure.as_ref().map_or(0, |failure| failure.in_a_row);
        let last = model.failure.as_ref().map(|failure| (failure.refusal.kind, failure.refusal.cause));
        let told = status.last_error.as_ref().map(refusal).map(|refusal| (refusal.kind, refusal.cause));
        let age = model.held.map(|held| held.age(now));
        let left = model.held.and_then(|held| held.left(now));
        let next = model.until_next_attempt();
        ensure!(
            status.freshness == model.freshness(),
            "P17, P23: the freshness is {:?} and not {:?}",
            status.freshness,
            model.freshness()
        );
        ensure!(status.generation == model.generation as u64, "P23: the generation is {}", status.generation);
        ensure!(status.remaining == left, "P17, P23: {:?} left, and not {left:?}", status.remaining);
        ensure!(status.age == age, "P23: an age of {:?}, and not {age:?}", status.age);
        ensure!(status.refreshing == model.flight.is_some(), "P23: refreshing is {}", status.refreshing);
        ensure!(status.failures == failures, "P11, P23: {} failures, and not {failures}", status.failures);
        ensure!(told == last, "P10, P23: the last error is {told:?}, and not {last:?}");
        ensure!(status.next_attempt == next, "P8, P23: the next attempt in {:?}, not {next:?}", status.next_attempt);
        let happened: Vec<_> = self.log.take().iter().map(happened).collect();
        let expected = std::mem::take(&mut self.reference.events);
        ensure!(happened == expected, "P23: {happened:?} has been told, and not {expected:?}");
        ensure!(self.source.fetches() == self.reference.fetches, "P6: peek or status has fetched");
        Ok(())
    }

    /// Lets go of the cache, then of those who wait.
    fn end(mut self) -> Result<(), String> {
        drop(self.cache);
        run_tasks(&self.runtimes);
        if let Some(fetch) = &mut self.fetch {
            let (aborted, waited_for) = (fetch.aborted().now_or_never().is_some(), !self.callers.is_empty());
            ensure!(aborted != waited_for, "P14: with the last handle but those who wait gone, aborted is {aborted}");
        }
        self.callers.clear();
        run_tasks(&self.runtimes);
        if let Some(fetch) = &mut self.fetch {
            ensure!(fetch.aborted().now_or_never().is_some(), "P14: a fetch goes on that nobody can wait for");
        }
        let tasks = self.runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum::<usize>();
        ensure!(tasks == 0, "P14: {tasks} tasks are left");
        ensure!(self.source.fetches() == self.reference.fetches, "P14: a fetch began after the end");
        let kept = self.tokens.iter().any(|token| Arc::strong_count(token) > 1);
        ensure!(!kept, "P14: a token has outlived the cache");
        Ok(())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Lets the tasks of all runtimes run until they wait.
fn run_tasks(runtimes: &[Runtime]) {
    for runtime in runtimes {
        runtime.block_on(async {
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// What a disagreement about this outcome is a breach of.
fn promise(expected: &Outcome) -> &'static str {
    match expected {
        Outcome::Token { .. } => "P1, P3, P10: ",
        Outcome::Refused(refusal) => match refusal.kind {
            ErrorKind::TooShort => "P5: ",
            ErrorKind::NoRuntime => "P12: ",
            ErrorKind::Permanent => "P10, P13: ",
            _ => "P10: ",
        },
    }
}

fn refusal(error: &Error) -> Refusal {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.and_then(|text| text.strip_prefix("outage ")?.parse().ok());
    Refusal { kind: error.kind(), cause, retry_after: error.retry_after() }
}

fn happened(event: &Event) -> Happened {
    match event {
        Event::FetchStarted { reason, .. } => Happened::Started(*reason),
        Event::FetchSucceeded { generation, remaining, took, .. } => {
            Happened::Succeeded { generation: index(*generation), remaining: *remaining, took: *took }
        }
        Event::FetchFailed { error, took, .. } => Happened::Failed(refusal(error), *took),
        Event::Invalidated { generation, .. } => Happened::Invalidated { generation: index(*generation) },
        other => panic!("an event that the reference does not know: {other:?}"),
    }
}

fn index(generation: u64) -> usize {
    usize::try_from(generation).unwrap()
}

fn shifted(span: Duration, beside: Beside) -> Duration {
    const A_BIT: Duration = Duration::from_nanos(1);
    match beside {
        Beside::Before => span.saturating_sub(A_BIT),
        Beside::At => span,
        Beside::After => span + A_BIT,
    }
}

/// One of them, if there is any.
fn nth<T>(items: impl ExactSizeIterator<Item = T>, which: usize) -> Option<T> {
    let mut items = items;
    let count = items.len();
    items.nth(which.checked_rem(count)?)
}

/// What a walk panics with when the cache would never come to an end.
pub(crate) const ENDLESS: &str = "P11, P12: the cache goes round and round";

/// More than a step costs in which all who wait ask again.
const TOO_OFTEN: usize = 10_000;

const HOUR: Duration = Duration::from_secs(3600);
