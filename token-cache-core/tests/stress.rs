//! Thousands of rotations on the system clock and many threads.
//!
//! Only these tests use real time: they look for races between two instructions of two threads, which a virtual clock
//! cannot reach. `TOKEN_CACHE_STRESS_SECONDS` sets the duration, 3 by default.
//!
//! No check has a tolerance or depends on the speed of the machine. Each compares times whose order is certain:
//! a caller reads the time before its call, so before the cache does; the source reads it during a fetch, so after its
//! start.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use token_cache_core::{
    BoxError, Clock, Error, ErrorKind, Event, SystemClock, TemporaryToken, TimePoint, TokenCache, TokenSource, View,
    async_trait, permanent,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

const INTERVAL: Duration = MS;

#[test]
fn p01_p15_promises_hold_on_many_threads() {
    within(run_time() + 60 * SECOND, || {
        let runtime = multi_thread(4);
        let scenarios: Vec<_> = (0..4).map(|_| Scenario::new(SourceBehavior::Faulty)).collect();
        let callers: Vec<_> = scenarios.iter().flat_map(|scenario| scenario.spawn_callers(&runtime)).collect();
        let threads: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                // A thread outside of the runtime that enters it.
                let (caller, handle) = (scenario.caller(), runtime.handle().clone());
                thread::spawn(move || handle.block_on(caller.reads()))
            })
            .collect();
        runtime.block_on(async {
            sleep(run_time()).await;
            // A busy machine takes longer for as many fetches.
            let fetches =
                || scenarios.iter().map(|scenario| scenario.recorder.fetches.lock().unwrap().len()).sum::<usize>();
            for _ in 0..300 {
                if fetches() >= 2000 {
                    break;
                }
                sleep(100 * MS).await;
            }
            for scenario in &scenarios {
                scenario.recorder.stopped.store(true, SeqCst);
            }
            for caller in callers {
                caller.await.unwrap();
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let rotations: usize = scenarios.into_iter().map(Scenario::end).sum();
        wait_until("no task is left", || runtime.metrics().num_alive_tasks() == 0);
        eprintln!("{rotations} rotations");
        assert!(rotations >= 500, "only {rotations} rotations");
    });
}

#[test]
fn p12_no_caller_hangs_when_runtimes_end() {
    within(run_time() + 60 * SECOND, || {
        let scenario = Scenario::new(SourceBehavior::Reliable);
        let permanent = multi_thread(2);
        let readers: Vec<_> = (0..2).map(|_| permanent.spawn(scenario.caller().reads())).collect();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let caller = scenario.caller();
                thread::spawn(move || caller.uses_runtimes_that_end())
            })
            .collect();
        thread::sleep(run_time());
        scenario.recorder.stopped.store(true, SeqCst);
        let runtimes: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        for reader in readers {
            permanent.block_on(reader).unwrap();
        }
        let rotations = scenario.end();
        wait_until("no task is left", || permanent.metrics().num_alive_tasks() == 0);
        eprintln!("{runtimes} runtimes");
        assert!(runtimes >= 20 && rotations >= 20, "only {runtimes} runtimes and {rotations} rotations");
    });
}

/// A cache, and what was recorded of it.
struct Scenario {
    cache: TokenCache<Token>,
    view: View<Token, Arc<TokenRecord>>,
    recorder: Arc<Recorder>,
    source: Weak<()>,
}

impl Scenario {
    fn new(behavior: SourceBehavior) -> Self {
        let (recorder, alive) = (Arc::new(Recorder::default()), Arc::new(()));
        let (source, listener) = (Arc::downgrade(&alive), Arc::clone(&recorder));
        let cache = TokenCache::builder(Source { behavior, recorder: Arc::clone(&recorder), _alive: alive })
            .min_refresh_interval(INTERVAL)
            .max_backoff(8 * MS)
            .fetch_timeout(if behavior == SourceBehavior::Faulty { 25 * MS } else { 10 * SECOND })
            .on_event(move |event| listener.record(event))
            .build();
        Self { view: cache.view(convert), cache, recorder, source }
    }

    fn caller(&self) -> Caller {
        let rng = Rng::new();
        Caller { cache: self.cache.clone(), recorder: Arc::clone(&self.recorder), rng, newest: 0 }
    }

    /// Spawns callers of all kinds, each in a task.
    fn spawn_callers(&self, runtime: &Runtime) -> Vec<tokio::task::JoinHandle<()>> {
        vec![
            runtime.spawn(self.caller().reads()),
            runtime.spawn(self.caller().reads()),
            runtime.spawn(self.caller().reads_a_view(self.view.clone())),
            runtime.spawn(self.caller().reads_a_view(self.view.clone())),
            runtime.spawn(self.caller().invalidates()),
            runtime.spawn(self.caller().refreshes()),
            runtime.spawn(self.caller().drops_futures()),
            runtime.spawn(self.caller().drops_futures()),
            runtime.spawn(self.caller().requires_a_lifetime()),
            runtime.spawn(self.caller().peeks()),
        ]
    }

    /// Drops the last handle, checks what was recorded, and returns the number of rotations.
    fn end(self) -> usize {
        let Self { cache, view, recorder, source } = self;
        drop((cache, view));
        wait_until("the source is dropped with the last handle", || source.upgrade().is_none());
        recorder.check()
    }
}

/// How the source behaves.
#[derive(Clone, Copy, PartialEq)]
enum SourceBehavior {
    /// Returns a token within milliseconds.
    Reliable,
    /// Also fails, panics, hangs and returns expired tokens.
    Faulty,
}

struct Source {
    behavior: SourceBehavior,
    recorder: Arc<Recorder>,
    _alive: Arc<()>,
}

#[async_trait]
impl TokenSource for Source {
    type Token = Token;

    async fn fetch(&self) -> Result<TemporaryToken<Token>, BoxError> {
        let started_by = now();
        let number = self.recorder.begin(started_by.monotonic());
        let _end = FetchEnd { recorder: &self.recorder, number };
        let mut rng = Rng::new();
        match (self.behavior, rng.below(100)) {
            (SourceBehavior::Reliable, _) => sleep(rng.up_to(2 * MS)).await,
            (_, 0..5) => return Err("the issuer is down".into()),
            (_, 5..7) => return Err(permanent("no such role")),
            // `panic!` would print.
            (_, 7..9) => resume_unwind(Box::new("a source that panics")),
            (_, 9..11) => std::future::pending().await,
            (_, 11..14) => return Ok(TemporaryToken::expires_in(self.token(number, Expires::Never), Duration::ZERO)),
            (_, 14..20) => sleep(rng.up_to(4 * MS)).await,
            (_, 20..50) => tokio::task::yield_now().await,
            _ => {}
        }
        let (lifetime, wall) = (MS + rng.up_to(9 * MS), now().wall());
        let token = match rng.below(20) {
            0 => TemporaryToken::never_expires(self.token(number, Expires::Never)),
            1..5 => TemporaryToken::new(self.token(number, Expires::Wall(wall + lifetime)), wall + lifetime),
            _ => {
                // The cache counts from its start of this fetch, which is before `started_by`.
                let expires = Expires::Monotonic(started_by.monotonic() + lifetime);
                self.recorder.fetch(number, |fetch| fetch.lifetime = Some(lifetime));
                TemporaryToken::expires_in(self.token(number, expires), lifetime)
            }
        };
        let has_refresh_time = rng.below(8) == 0;
        Ok(if has_refresh_time { token.refresh_at(wall + rng.up_to(lifetime)) } else { token })
    }
}

impl Source {
    fn token(&self, number: u64, expires: Expires) -> Token {
        let record = Arc::new(TokenRecord { number, expires, ..TokenRecord::default() });
        self.recorder.fetch(number, |fetch| fetch.record = Some(Arc::clone(&record)));
        Token(record)
    }
}

/// Records the end of a fetch, also if it panics or is dropped.
struct FetchEnd<'a> {
    recorder: &'a Recorder,
    number: u64,
}

impl Drop for FetchEnd<'_> {
    fn drop(&mut self) {
        self.recorder.fetching.fetch_sub(1, SeqCst);
        let ended = now().monotonic();
        self.recorder.fetch(self.number, |fetch| fetch.ended = Some(ended));
        ENDED.set(Some(self.number));
    }
}

thread_local! {
    /// The fetch that ended in the current poll. The listener is called in the same poll.
    static ENDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Not `Clone`, so that each generation has one `Arc`.
struct Token(Arc<TokenRecord>);

/// What was recorded of a token.
#[derive(Default)]
struct TokenRecord {
    number: u64,
    expires: Expires,
    converted: AtomicUsize,
    /// The start of the last call that returned it, in nanoseconds.
    last_call: AtomicU64,
    /// Before the first call of `invalidate`.
    invalidating: OnceLock<Duration>,
    /// After the first return of `invalidate`.
    invalidated: OnceLock<Duration>,
}

/// Not earlier than the cache's expiry.
#[derive(Clone, Copy, Default)]
enum Expires {
    Monotonic(Duration),
    Wall(SystemTime),
    #[default]
    Never,
}

/// A caller, and the newest token that it got.
struct Caller {
    cache: TokenCache<Token>,
    recorder: Arc<Recorder>,
    rng: Rng,
    /// The number of the newest token.
    newest: u64,
}

impl Caller {
    async fn reads(mut self) {
        while self.continues().await {
            for _ in 0..16 {
                self.gets().await;
            }
        }
    }

    async fn reads_a_view(mut self, view: View<Token, Arc<TokenRecord>>) {
        while self.continues().await {
            for _ in 0..16 {
                let before = now();
                match view.get().await {
                    Ok(record) => self.check_token(before, &record),
                    Err(error) => self.record_error(before, error),
                }
            }
        }
    }

    async fn invalidates(mut self) {
        while self.continues().await {
            sleep(self.rng.up_to(8 * MS)).await;
            if let Some(token) = self.gets().await {
                // Sometimes late: then a newer token is stored, and must stay.
                sleep(self.rng.up_to(4 * MS) * self.rng.below(2)).await;
                let _ = token.0.invalidating.set(now().monotonic());
                self.cache.invalidate(&token);
                // A rejection that follows another one too soon has no effect.
                if self.cache.peek().is_none_or(|stored| !Arc::ptr_eq(&stored, &token)) {
                    let _ = token.0.invalidated.set(now().monotonic());
                }
            }
        }
    }

    async fn refreshes(mut self) {
        while self.continues().await {
            let before = now();
            if let Ok(token) = self.cache.refresh().await {
                self.check_token(before, &token.0);
            }
            sleep(self.rng.up_to(3 * MS)).await;
        }
    }

    /// Drops futures before they are ready, and clones and drops handles.
    async fn drops_futures(mut self) {
        while self.continues().await {
            let (cache, before) = (self.cache.clone(), now());
            let wait = self.rng.up_to(2 * MS);
            let outcome = match self.rng.below(3) {
                0 => cache.get().now_or_never(),
                1 => timeout(wait, cache.get()).await.ok(),
                _ => timeout(wait, cache.refresh()).await.ok(),
            };
            if let Some(Ok(token)) = outcome {
                self.check_token(before, &token.0);
            }
            self.cache = cache;
        }
    }

    async fn requires_a_lifetime(mut self) {
        while self.continues().await {
            let (duration, before) = (self.rng.up_to(10 * MS), now());
            match self.cache.get_valid_for(duration).await {
                Ok(token) => {
                    self.check_token(before, &token.0);
                    if let Expires::Monotonic(expires) = token.0.expires {
                        let is_long_enough = expires >= before.monotonic() + duration;
                        self.recorder.expect(is_long_enough, || {
                            format!("token {} is not valid for {duration:?}", token.0.number)
                        });
                    }
                }
                Err(_) => sleep(MS).await,
            }
        }
    }

    async fn peeks(mut self) {
        while self.continues().await {
            let before = now();
            if let Some(token) = self.cache.peek() {
                self.check_token(before, &token.0);
            }
            let status = format!("{:?}", self.cache);
            self.recorder.expect(status.contains("Status"), || status);
        }
    }

    /// Uses runtimes that end during its calls, and returns their number.
    fn uses_runtimes_that_end(mut self) -> usize {
        let mut runtimes = 0;
        while !self.recorder.stopped.load(SeqCst) {
            runtimes += 1;
            let wait = self.rng.up_to(4 * MS);
            match self.rng.below(3) {
                0 => {
                    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        self.gets().await;
                        sleep(wait).await;
                        // This often leaves a fetch running.
                        let _ = timeout(wait, self.cache.refresh()).await;
                    });
                }
                1 => {
                    let runtime = multi_thread(1);
                    runtime.block_on(self.gets());
                    let _ = runtime.block_on(async { timeout(wait, self.cache.refresh()).await });
                }
                _ => {
                    let runtime = multi_thread(1);
                    for _ in 0..4 {
                        let (cache, recorder) = (self.cache.clone(), Arc::clone(&self.recorder));
                        runtime.spawn(async move {
                            loop {
                                if let Err(error) = cache.refresh().await {
                                    let is_expected =
                                        matches!(error.kind(), ErrorKind::NoRuntime | ErrorKind::AlreadyExpired);
                                    recorder.expect(is_expected, || format!("on a runtime that ends: {error}"));
                                }
                                tokio::task::yield_now().await;
                            }
                        });
                    }
                    thread::sleep(wait);
                    runtime.shutdown_background();
                }
            }
        }
        runtimes
    }

    async fn gets(&mut self) -> Option<Arc<Token>> {
        let before = now();
        match self.cache.get().await {
            Ok(token) => {
                self.check_token(before, &token.0);
                Some(token)
            }
            Err(error) => {
                self.record_error(before, error);
                sleep(MS / 4).await;
                None
            }
        }
    }

    /// Checks a token that a call returned. The call started after `before`.
    fn check_token(&mut self, before: TimePoint, record: &TokenRecord) {
        let number = record.number;
        self.recorder.served.fetch_add(1, SeqCst);
        self.record_duration(before);
        self.recorder.expect(number >= self.newest, || format!("token {number} after token {}", self.newest));
        self.newest = number;
        record.last_call.fetch_max(nanos(before.monotonic()), SeqCst);
        let is_valid = match record.expires {
            Expires::Monotonic(expires) => before.monotonic() < expires,
            Expires::Wall(expires) => before.wall() < expires,
            Expires::Never => true,
        };
        self.recorder.expect(is_valid, || format!("token {number} was returned after its expiry"));
    }

    fn record_error(&self, before: TimePoint, error: Error) {
        let (before, after) = (before.monotonic(), now().monotonic());
        self.recorder.errors.lock().unwrap().push(ErrorRecord { before, after, error });
    }

    fn record_duration(&self, before: TimePoint) {
        let took = now().monotonic() - before.monotonic();
        self.recorder.longest.fetch_max(nanos(took), SeqCst);
    }

    async fn continues(&mut self) -> bool {
        match self.rng.below(4) {
            0 => sleep(MS / 4).await,
            _ => tokio::task::yield_now().await,
        }
        !self.recorder.stopped.load(SeqCst)
    }
}

/// The conversion of the view.
fn convert(token: &Token) -> Arc<TokenRecord> {
    token.0.converted.fetch_add(1, SeqCst);
    Arc::clone(&token.0)
}

/// What callers, the source and the listener have observed.
#[derive(Default)]
struct Recorder {
    stopped: AtomicBool,
    /// The number of running calls of the source.
    fetching: AtomicUsize,
    served: AtomicU64,
    generation: AtomicU64,
    longest: AtomicU64,
    /// By number, from 1.
    fetches: Mutex<Vec<FetchRecord>>,
    errors: Mutex<Vec<ErrorRecord>>,
    violations: Mutex<Vec<String>>,
}

/// A call of the source.
#[derive(Default)]
struct FetchRecord {
    /// Not earlier than its start for the cache.
    started_by: Duration,
    /// Before the cache knows.
    ended: Option<Duration>,
    /// The duration that the cache reported, from its start until after `ended`.
    took: Option<Duration>,
    /// The time until the next attempt, after a failure.
    retry_after: Option<Duration>,
    /// Not earlier than the time at which its token was stored.
    stored: Option<Duration>,
    /// If it is known exactly.
    lifetime: Option<Duration>,
    record: Option<Arc<TokenRecord>>,
}

impl FetchRecord {
    /// Not later than its start for the cache.
    fn started(&self) -> Option<Duration> {
        Some(self.ended?.saturating_sub(self.took?))
    }

    /// Whether its token was certainly valid and not invalidated until `after`.
    fn was_usable_until(&self, after: Duration) -> bool {
        let is_unexpired = self.started().zip(self.lifetime).is_some_and(|(start, lifetime)| after < start + lifetime);
        let is_stored =
            self.record.as_ref().is_some_and(|record| record.invalidating.get().is_none_or(|at| *at > after));
        is_unexpired && is_stored
    }
}

/// An error of `get`.
struct ErrorRecord {
    before: Duration,
    after: Duration,
    error: Error,
}

impl Recorder {
    fn begin(&self, started_by: Duration) -> u64 {
        let is_only = self.fetching.fetch_add(1, SeqCst) == 0;
        self.expect(is_only, || "two fetches at once".to_owned());
        let mut fetches = self.fetches.lock().unwrap();
        fetches.push(FetchRecord { started_by, ..FetchRecord::default() });
        fetches.len() as u64
    }

    fn fetch(&self, number: u64, change: impl FnOnce(&mut FetchRecord)) {
        change(&mut self.fetches.lock().unwrap()[number as usize - 1]);
    }

    fn record(&self, event: &Event) {
        let received = now().monotonic();
        let (took, stored, retry_after) = match event {
            Event::FetchSucceeded { took, generation, .. } => {
                // A token that does not live as long as the stored one replaces nothing.
                let is_stored = self.generation.fetch_max(*generation, SeqCst) < *generation;
                (*took, is_stored.then_some(received), None)
            }
            // After a permanent error callers of `refresh` do not wait.
            Event::FetchFailed { took, error, .. } if error.kind() == ErrorKind::Permanent => (*took, None, None),
            Event::FetchFailed { took, error, .. } => (*took, None, error.retry_after()),
            _ => return,
        };
        let number = ENDED.take().expect("the listener is called in the poll in which the fetch ended");
        self.fetch(number, |fetch| {
            (fetch.took, fetch.stored, fetch.retry_after) = (Some(took), stored, retry_after);
        });
        if number.is_multiple_of(64) {
            resume_unwind(Box::new("a listener that panics"));
        }
    }

    fn expect(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violations.lock().unwrap().push(otherwise());
        }
    }

    /// Checks what was recorded, and returns the number of rotations.
    fn check(&self) -> usize {
        let fetches = self.fetches.lock().unwrap();
        let mut closest = Duration::MAX;
        for pair in fetches.windows(2) {
            if let Some(started) = pair[0].started() {
                let distance = pair[1].started_by.saturating_sub(started);
                closest = closest.min(distance);
                self.expect(distance >= INTERVAL, || format!("two fetches {distance:?} apart"));
            }
            if let (Some(ended), Some(wait)) = (pair[0].ended, pair[0].retry_after) {
                let waited = pair[1].started_by.saturating_sub(ended);
                // The backoff is shorter once no token can be returned: a tenth to all of its limit, instead of a half to all.
                self.expect(waited >= wait / 5, || format!("{waited:?} after a failure instead of {wait:?}"));
            }
        }
        for record in fetches.iter().filter_map(|fetch| fetch.record.as_ref()) {
            let last = Duration::from_nanos(record.last_call.load(SeqCst));
            let is_refused = record.invalidated.get().is_none_or(|rejected| last <= *rejected);
            self.expect(is_refused, || format!("token {} was returned after its invalidation", record.number));
            let converted = record.converted.load(SeqCst);
            self.expect(converted <= 1, || format!("token {} was converted {converted} times", record.number));
        }
        let errors = self.errors.lock().unwrap();
        for ErrorRecord { before, after, error } in &*errors {
            // One of these was the stored one during the call.
            let newest = fetches.iter().rposition(|fetch| fetch.stored.is_some_and(|stored| stored <= *before));
            let wrong = newest.is_some_and(|newest| {
                let stored_since = |fetch: &&FetchRecord| fetch.stored.is_some() && fetch.ended <= Some(*after);
                fetches[newest..].iter().filter(stored_since).all(|fetch| fetch.was_usable_until(*after))
            });
            self.expect(!wrong, || format!("an error while a usable token was stored: {error}"));
        }
        let rotations = fetches.iter().filter(|fetch| fetch.stored.is_some()).count();
        eprintln!(
            "{rotations} rotations, {} fetches at least {closest:?} apart, {} tokens and {} errors returned, longest \
             call {:?}",
            fetches.len(),
            self.served.load(SeqCst),
            errors.len(),
            Duration::from_nanos(self.longest.load(SeqCst)),
        );
        let violations = self.violations.lock().unwrap();
        assert!(
            violations.is_empty(),
            "{} violations, including {:#?}",
            violations.len(),
            &violations[..violations.len().min(10)]
        );
        rotations
    }
}

/// A pseudorandom number generator (xorshift).
struct Rng(u64);

impl Rng {
    fn new() -> Self {
        static SEEDS: AtomicU64 = AtomicU64::new(1);
        Self(SEEDS.fetch_add(1, SeqCst).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Less than `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(end)) as u32
    }

    fn up_to(&mut self, duration: Duration) -> Duration {
        duration * self.below(1000) / 1000
    }
}

/// Fails if `run` hangs. Its thread ends with the process.
fn within(limit: Duration, run: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _done: mpsc::Sender<()> = done; // dropped also by a panic
        run();
    });
    assert!(ended.recv_timeout(limit) != Err(mpsc::RecvTimeoutError::Timeout), "a call hangs");
    thread.join().unwrap();
}

/// Waits for the effect of an abort, which is asynchronous.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        thread::sleep(MS);
    }
    panic!("never true: {what}");
}

fn multi_thread(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

fn run_time() -> Duration {
    let seconds = std::env::var("TOKEN_CACHE_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or(3) * SECOND
}

/// By the clock of the cache.
fn now() -> TimePoint {
    SystemClock::new().now()
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
