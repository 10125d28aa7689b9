//! Thousands of rotations on the machine's own clock and on many threads, watched by a recorder outside of the cache.
//!
//! The one place where tests take real time: what it looks for lies between two instructions of two threads, and no clock
//! of ours can be set to that. `TOKEN_CACHE_STRESS_SECONDS` says for how long, 3 if it does not.
//!
//! No check has a tolerance. Each compares times that are in order whatever the scheduler does: the time a caller read
//! before its call is no later than the cache's own reading, and what the source reads in a fetch is no earlier than
//! the start of that fetch.

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
fn p01_to_p15_hold_through_thousands_of_rotations_on_many_threads() {
    within(run_time() + 60 * SECOND, || {
        let runtime = multi_thread(4);
        let worlds: Vec<_> = (0..4).map(|_| World::new(Manners::Bad)).collect();
        let callers: Vec<_> = worlds.iter().flat_map(|world| world.populate(&runtime)).collect();
        let threads: Vec<_> = worlds
            .iter()
            .map(|world| {
                // A thread that is none of the runtime's and only enters it.
                let (caller, handle) = (world.caller(), runtime.handle().clone());
                thread::spawn(move || handle.block_on(caller.reads()))
            })
            .collect();
        runtime.block_on(async {
            sleep(run_time()).await;
            // A machine that is busy with something else takes longer for as much.
            let fetches = || worlds.iter().map(|world| world.recorder.fetches.lock().unwrap().len()).sum::<usize>();
            for _ in 0..300 {
                if fetches() >= 2000 {
                    break;
                }
                sleep(100 * MS).await;
            }
            for world in &worlds {
                world.recorder.over.store(true, SeqCst);
            }
            for caller in callers {
                caller.await.unwrap();
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let rotations: usize = worlds.into_iter().map(World::end).sum();
        eventually("no task is left", || runtime.metrics().num_alive_tasks() == 0);
        eprintln!("{rotations} rotations in all");
        assert!(rotations >= 500, "too few rotations to show anything: {rotations}");
    });
}

#[test]
fn p12_runtimes_come_and_go_and_nobody_hangs() {
    within(run_time() + 60 * SECOND, || {
        let world = World::new(Manners::Good);
        let stays = multi_thread(2);
        let readers: Vec<_> = (0..2).map(|_| stays.spawn(world.caller().reads())).collect();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let caller = world.caller();
                thread::spawn(move || caller.lives_on_runtimes_that_go())
            })
            .collect();
        thread::sleep(run_time());
        world.recorder.over.store(true, SeqCst);
        let runtimes: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        for reader in readers {
            stays.block_on(reader).unwrap();
        }
        let rotations = world.end();
        eventually("no task is left", || stays.metrics().num_alive_tasks() == 0);
        eprintln!("{runtimes} runtimes came and went");
        assert!(runtimes >= 20 && rotations >= 20, "{runtimes} runtimes and {rotations} rotations show nothing");
    });
}

/// A cache, and what is known of it from outside.
struct World {
    cache: TokenCache<Token>,
    view: View<Token, Arc<Marks>>,
    recorder: Arc<Recorder>,
    source: Weak<()>,
}

impl World {
    fn new(manners: Manners) -> Self {
        let (recorder, alive) = (Arc::new(Recorder::default()), Arc::new(()));
        let (source, listener) = (Arc::downgrade(&alive), Arc::clone(&recorder));
        let cache = TokenCache::builder(Source { manners, recorder: Arc::clone(&recorder), _alive: alive })
            .min_refresh_interval(INTERVAL)
            .max_backoff(8 * MS)
            .fetch_timeout(if manners == Manners::Bad { 25 * MS } else { 10 * SECOND })
            .on_event(move |event| listener.hear(event))
            .build();
        Self { view: cache.view(convert), cache, recorder, source }
    }

    fn caller(&self) -> Caller {
        let lot = Lot::new();
        Caller { cache: self.cache.clone(), recorder: Arc::clone(&self.recorder), lot, newest: 0 }
    }

    /// All kinds of callers, each in a task of its own.
    fn populate(&self, runtime: &Runtime) -> Vec<tokio::task::JoinHandle<()>> {
        vec![
            runtime.spawn(self.caller().reads()),
            runtime.spawn(self.caller().reads()),
            runtime.spawn(self.caller().reads_a_view(self.view.clone())),
            runtime.spawn(self.caller().reads_a_view(self.view.clone())),
            runtime.spawn(self.caller().rejects()),
            runtime.spawn(self.caller().refreshes()),
            runtime.spawn(self.caller().gives_up_early()),
            runtime.spawn(self.caller().gives_up_early()),
            runtime.spawn(self.caller().needs_it_longer()),
            runtime.spawn(self.caller().looks()),
        ]
    }

    /// Drops the last handle, checks all that can only be checked now, and returns how many tokens there were.
    fn end(self) -> usize {
        let Self { cache, view, recorder, source } = self;
        drop((cache, view));
        eventually("the source is gone with the last handle", || source.upgrade().is_none());
        recorder.check()
    }
}

/// How the source behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    /// It answers within milliseconds, with a token.
    Good,
    /// It does whatever a source can do wrong.
    Bad,
}

struct Source {
    manners: Manners,
    recorder: Arc<Recorder>,
    _alive: Arc<()>,
}

#[async_trait]
impl TokenSource for Source {
    type Token = Token;

    async fn fetch(&self) -> Result<TemporaryToken<Token>, BoxError> {
        let begun = now();
        let number = self.recorder.begin(begun.monotonic());
        let _end = End { recorder: &self.recorder, number };
        let mut lot = Lot::new();
        match (self.manners, lot.below(100)) {
            (Manners::Good, _) => sleep(lot.up_to(2 * MS)).await,
            (_, 0..5) => return Err("the issuer is down".into()),
            (_, 5..7) => return Err(permanent("no such role")),
            // Not `panic!`, which would print.
            (_, 7..9) => resume_unwind(Box::new("a source that panics")),
            (_, 9..11) => std::future::pending().await,
            (_, 11..14) => return Ok(TemporaryToken::expires_in(self.token(number, Expires::Never), Duration::ZERO)),
            (_, 14..20) => sleep(lot.up_to(4 * MS)).await,
            (_, 20..50) => tokio::task::yield_now().await,
            _ => {}
        }
        let (lifetime, wall) = (MS + lot.up_to(9 * MS), now().wall());
        let token = match lot.below(20) {
            0 => TemporaryToken::never_expires(self.token(number, Expires::Never)),
            1..5 => TemporaryToken::new(self.token(number, Expires::Wall(wall + lifetime)), wall + lifetime),
            _ => {
                // The cache counts from its own start of this fetch, which was before `begun`.
                let expires = Expires::Monotonic(begun.monotonic() + lifetime);
                self.recorder.fetch(number, |fetch| fetch.lifetime = Some(lifetime));
                TemporaryToken::expires_in(self.token(number, expires), lifetime)
            }
        };
        let hint = lot.below(8) == 0;
        Ok(if hint { token.refresh_at(wall + lot.up_to(lifetime)) } else { token })
    }
}

impl Source {
    fn token(&self, number: u64, expires: Expires) -> Token {
        let marks = Arc::new(Marks { number, expires, ..Marks::default() });
        self.recorder.fetch(number, |fetch| fetch.marks = Some(Arc::clone(&marks)));
        Token(marks)
    }
}

/// Marks the end of a fetch, however it ends.
struct End<'a> {
    recorder: &'a Recorder,
    number: u64,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.recorder.fetching.fetch_sub(1, SeqCst);
        let ended = now().monotonic();
        self.recorder.fetch(self.number, |fetch| fetch.ended = Some(ended));
        ENDED.set(Some(self.number));
    }
}

thread_local! {
    /// The fetch that ended in the poll that is running; the listener is told of it in the same one.
    static ENDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Not `Clone`: a second `Arc` of the same generation would need a second token.
struct Token(Arc<Marks>);

/// What befell a token.
#[derive(Default)]
struct Marks {
    number: u64,
    expires: Expires,
    converted: AtomicUsize,
    /// When the last caller began who was given this one, in nanoseconds.
    last_begun: AtomicU64,
    /// Before the first call of `invalidate`.
    rejecting: OnceLock<Duration>,
    /// After the return of one.
    rejected: OnceLock<Duration>,
}

/// No earlier than the cache has it.
#[derive(Clone, Copy, Default)]
enum Expires {
    Monotonic(Duration),
    Wall(SystemTime),
    #[default]
    Never,
}

/// One who asks, and remembers what it was given.
struct Caller {
    cache: TokenCache<Token>,
    recorder: Arc<Recorder>,
    lot: Lot,
    /// The number of the newest token it was given.
    newest: u64,
}

impl Caller {
    async fn reads(mut self) {
        while self.goes_on().await {
            for _ in 0..16 {
                self.gets().await;
            }
        }
    }

    async fn reads_a_view(mut self, view: View<Token, Arc<Marks>>) {
        while self.goes_on().await {
            for _ in 0..16 {
                let before = now();
                match view.get().await {
                    Ok(marks) => self.given(before, &marks),
                    Err(error) => self.refused(before, error),
                }
            }
        }
    }

    async fn rejects(mut self) {
        while self.goes_on().await {
            sleep(self.lot.up_to(8 * MS)).await;
            if let Some(token) = self.gets().await {
                // Late for some: by then there is a newer one, which has to stay.
                sleep(self.lot.up_to(4 * MS) * self.lot.below(2)).await;
                let _ = token.0.rejecting.set(now().monotonic());
                self.cache.invalidate(&token);
                let _ = token.0.rejected.set(now().monotonic());
            }
        }
    }

    async fn refreshes(mut self) {
        while self.goes_on().await {
            let before = now();
            if let Ok(token) = self.cache.refresh().await {
                self.given(before, &token.0);
            }
            sleep(self.lot.up_to(3 * MS)).await;
        }
    }

    /// Drops its futures on the way, and comes and goes as clones of the cache do.
    async fn gives_up_early(mut self) {
        while self.goes_on().await {
            let (cache, before) = (self.cache.clone(), now());
            let patience = self.lot.up_to(2 * MS);
            let outcome = match self.lot.below(3) {
                0 => cache.get().now_or_never(),
                1 => timeout(patience, cache.get()).await.ok(),
                _ => timeout(patience, cache.refresh()).await.ok(),
            };
            if let Some(Ok(token)) = outcome {
                self.given(before, &token.0);
            }
            self.cache = cache;
        }
    }

    async fn needs_it_longer(mut self) {
        while self.goes_on().await {
            let (span, before) = (self.lot.up_to(10 * MS), now());
            match self.cache.get_valid_for(span).await {
                Ok(token) => {
                    self.given(before, &token.0);
                    if let Expires::Monotonic(expires) = token.0.expires {
                        let lasts = expires >= before.monotonic() + span;
                        self.recorder.expect(lasts, || format!("{} does not last for {span:?}", token.0.number));
                    }
                }
                Err(_) => sleep(MS).await,
            }
        }
    }

    async fn looks(mut self) {
        while self.goes_on().await {
            let before = now();
            if let Some(token) = self.cache.peek() {
                self.given(before, &token.0);
            }
            let status = format!("{:?}", self.cache);
            self.recorder.expect(status.contains("Status"), || status);
        }
    }

    /// Lives on runtimes that end under it, while others use the same cache. Returns on how many.
    fn lives_on_runtimes_that_go(mut self) -> usize {
        let mut runtimes = 0;
        while !self.recorder.over.load(SeqCst) {
            runtimes += 1;
            let patience = self.lot.up_to(4 * MS);
            match self.lot.below(3) {
                0 => {
                    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        self.gets().await;
                        sleep(patience).await;
                        // Likely to leave a flight behind.
                        let _ = timeout(patience, self.cache.refresh()).await;
                    });
                }
                1 => {
                    let runtime = multi_thread(1);
                    runtime.block_on(self.gets());
                    let _ = runtime.block_on(async { timeout(patience, self.cache.refresh()).await });
                }
                _ => {
                    let runtime = multi_thread(1);
                    for _ in 0..4 {
                        let (cache, recorder) = (self.cache.clone(), Arc::clone(&self.recorder));
                        runtime.spawn(async move {
                            loop {
                                if let Err(error) = cache.refresh().await {
                                    let right =
                                        matches!(error.kind(), ErrorKind::NoRuntime | ErrorKind::AlreadyExpired);
                                    recorder.expect(right, || format!("on a runtime that goes: {error}"));
                                }
                                tokio::task::yield_now().await;
                            }
                        });
                    }
                    thread::sleep(patience);
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
                self.given(before, &token.0);
                Some(token)
            }
            Err(error) => {
                self.refused(before, error);
                sleep(MS / 4).await;
                None
            }
        }
    }

    /// Checks a token that a call returned which began after `before`.
    fn given(&mut self, before: TimePoint, marks: &Marks) {
        let number = marks.number;
        self.recorder.served.fetch_add(1, SeqCst);
        self.took(before);
        self.recorder.expect(number >= self.newest, || format!("{number} after {}", self.newest));
        self.newest = number;
        marks.last_begun.fetch_max(nanos(before.monotonic()), SeqCst);
        let good = match marks.expires {
            Expires::Monotonic(expires) => before.monotonic() < expires,
            Expires::Wall(expires) => before.wall() < expires,
            Expires::Never => true,
        };
        self.recorder.expect(good, || format!("{number} was handed out after its end"));
    }

    fn refused(&self, before: TimePoint, error: Error) {
        let (before, after) = (before.monotonic(), now().monotonic());
        self.recorder.refused.lock().unwrap().push(Refused { before, after, error });
    }

    fn took(&self, before: TimePoint) {
        let took = now().monotonic() - before.monotonic();
        self.recorder.longest.fetch_max(nanos(took), SeqCst);
    }

    async fn goes_on(&mut self) -> bool {
        match self.lot.below(4) {
            0 => sleep(MS / 4).await,
            _ => tokio::task::yield_now().await,
        }
        !self.recorder.over.load(SeqCst)
    }
}

/// What the one view of a world does, and how often.
fn convert(token: &Token) -> Arc<Marks> {
    token.0.converted.fetch_add(1, SeqCst);
    Arc::clone(&token.0)
}

/// What happened, written down by those whom it happened to.
#[derive(Default)]
struct Recorder {
    over: AtomicBool,
    /// Calls of the source that are under way.
    fetching: AtomicUsize,
    served: AtomicU64,
    longest: AtomicU64,
    /// By their numbers, from 1.
    fetches: Mutex<Vec<Fetch>>,
    refused: Mutex<Vec<Refused>>,
    violations: Mutex<Vec<String>>,
}

/// One call of the source.
#[derive(Default)]
struct Fetch {
    /// No earlier than its start for the cache.
    begun: Duration,
    /// Before the cache could know.
    ended: Option<Duration>,
    /// By the cache's own word, from its start until after `ended`.
    took: Option<Duration>,
    /// After a failure.
    retry_after: Option<Duration>,
    /// No earlier than its token was stored and published.
    stored: Option<Duration>,
    /// Where it is known to the nanosecond.
    lifetime: Option<Duration>,
    marks: Option<Arc<Marks>>,
}

impl Fetch {
    /// No later than the start that the cache counts from.
    fn started(&self) -> Option<Duration> {
        Some(self.ended?.saturating_sub(self.took?))
    }

    /// Whether its token was good for certain, all the time until `after`.
    fn was_good_until(&self, after: Duration) -> bool {
        let unexpired = self.started().zip(self.lifetime).is_some_and(|(start, lifetime)| after < start + lifetime);
        let unrejected = self.marks.as_ref().is_some_and(|marks| marks.rejecting.get().is_none_or(|at| *at > after));
        unexpired && unrejected
    }
}

/// An error for one who would have taken any token.
struct Refused {
    before: Duration,
    after: Duration,
    error: Error,
}

impl Recorder {
    fn begin(&self, begun: Duration) -> u64 {
        let alone = self.fetching.fetch_add(1, SeqCst) == 0;
        self.expect(alone, || "two fetches at once".to_owned());
        let mut fetches = self.fetches.lock().unwrap();
        fetches.push(Fetch { begun, ..Fetch::default() });
        fetches.len() as u64
    }

    fn fetch(&self, number: u64, change: impl FnOnce(&mut Fetch)) {
        change(&mut self.fetches.lock().unwrap()[number as usize - 1]);
    }

    fn hear(&self, event: &Event) {
        let told = now().monotonic();
        let (took, stored, retry_after) = match event {
            Event::FetchSucceeded { took, .. } => (*took, Some(told), None),
            Event::FetchFailed { took, error, .. } => (*took, None, error.retry_after()),
            _ => return,
        };
        let number = ENDED.take().expect("the listener is told where the fetch ended");
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

    /// What can only be checked afterwards. Returns how many tokens there were.
    fn check(&self) -> usize {
        let fetches = self.fetches.lock().unwrap();
        let mut closest = Duration::MAX;
        for pair in fetches.windows(2) {
            if let Some(started) = pair[0].started() {
                let distance = pair[1].begun.saturating_sub(started);
                closest = closest.min(distance);
                self.expect(distance >= INTERVAL, || format!("two fetches {distance:?} apart"));
            }
            if let (Some(ended), Some(wait)) = (pair[0].ended, pair[0].retry_after) {
                let waited = pair[1].begun.saturating_sub(ended);
                self.expect(waited >= wait, || format!("{waited:?} after a failure, and not {wait:?}"));
            }
        }
        for marks in fetches.iter().filter_map(|fetch| fetch.marks.as_ref()) {
            let last = Duration::from_nanos(marks.last_begun.load(SeqCst));
            let obeyed = marks.rejected.get().is_none_or(|rejected| last <= *rejected);
            self.expect(obeyed, || format!("{} was handed out after its rejection", marks.number));
            let converted = marks.converted.load(SeqCst);
            self.expect(converted <= 1, || format!("{} was converted {converted} times", marks.number));
        }
        let refused = self.refused.lock().unwrap();
        for Refused { before, after, error } in &*refused {
            // Whichever of these was the stored one while the caller was being refused.
            let newest = fetches.iter().rposition(|fetch| fetch.stored.is_some_and(|stored| stored <= *before));
            let wrong = newest.is_some_and(|newest| {
                let stored_since = |fetch: &&Fetch| fetch.stored.is_some() && fetch.ended <= Some(*after);
                fetches[newest..].iter().filter(stored_since).all(|fetch| fetch.was_good_until(*after))
            });
            self.expect(!wrong, || format!("refused with a good token stored: {error}"));
        }
        let rotations = fetches.iter().filter(|fetch| fetch.stored.is_some()).count();
        eprintln!(
            "{rotations} rotations by {} fetches, {closest:?} apart at the least; {} served, {} refused; the longest \
             call took {:?}",
            fetches.len(),
            self.served.load(SeqCst),
            refused.len(),
            Duration::from_nanos(self.longest.load(SeqCst)),
        );
        let violations = self.violations.lock().unwrap();
        assert!(
            violations.is_empty(),
            "{} violations, such as {:#?}",
            violations.len(),
            &violations[..violations.len().min(10)]
        );
        rotations
    }
}

/// Random enough to be rude.
struct Lot(u64);

impl Lot {
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

    fn up_to(&mut self, span: Duration) -> Duration {
        span * self.below(1000) / 1000
    }
}

/// Fails if `run` hangs. A thread that hangs cannot be ended, but the process of the tests will be.
fn within(limit: Duration, run: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _done: mpsc::Sender<()> = done; // dropped at the end, however it ends
        run();
    });
    assert!(ended.recv_timeout(limit) != Err(mpsc::RecvTimeoutError::Timeout), "something hangs");
    thread.join().unwrap();
}

/// Waits for what an abort brings about in its own time.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        thread::sleep(MS);
    }
    panic!("it never came about: {what}");
}

fn multi_thread(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
}

fn run_time() -> Duration {
    let seconds = std::env::var("TOKEN_CACHE_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or(3) * SECOND
}

/// By the clock that the cache itself asks.
fn now() -> TimePoint {
    SystemClock::new().now()
}

fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}
