//! One cache per key: when keys are kept, and how their fetches are limited.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use token_cache_core::test_util::{VirtualClock, settled};
use token_cache_core::{
    BoxError, Clock, ErrorKind, FetchState, Freshness, TemporaryToken, TokenCacheBuilder, TokenCaches,
    TokenCachesBuilder, TokenSource, async_trait,
};
use tokio::sync::Semaphore;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

type Caches = TokenCaches<u32, String>;

/// Issues tokens for all keys.
#[derive(Clone)]
struct Issuer {
    clock: VirtualClock,
    state: Arc<State>,
}

struct State {
    lifetime: Mutex<Duration>,
    /// When the fetches of each key started, in virtual time.
    starts: Mutex<HashMap<u32, Vec<Duration>>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    sources: AtomicUsize,
    /// One permit lets one fetch return.
    answers: Semaphore,
    down: Mutex<bool>,
}

struct Source(Issuer, u32);

impl Issuer {
    fn new() -> Self {
        let state = State {
            lifetime: Mutex::new(HOUR),
            starts: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            sources: AtomicUsize::new(0),
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
            down: Mutex::new(false),
        };
        Self { clock: VirtualClock::new(), state: Arc::new(state) }
    }

    fn builder(&self) -> TokenCachesBuilder<u32, String> {
        let issuer = self.clone();
        let source = move |key: &u32| {
            issuer.state.sources.fetch_add(1, Ordering::SeqCst);
            Source(issuer.clone(), *key)
        };
        Caches::builder(source).clock(self.clock.clone()).cache(|cache, _| cache.jitter(0.0))
    }

    fn fetches(&self) -> usize {
        self.state.starts.lock().unwrap().values().map(Vec::len).sum()
    }

    fn fetches_of(&self, key: u32) -> usize {
        self.state.starts.lock().unwrap().get(&key).map_or(0, Vec::len)
    }

    /// The threads of the crate follow the virtual clock.
    async fn wait_for_fetches(&self, fetches: usize) {
        eventually(|| self.fetches() >= fetches).await;
        assert_eq!(self.fetches(), fetches);
    }
}

/// Waits in real time for something that another thread does.
async fn eventually(condition: impl Fn() -> bool) {
    for attempt in 0.. {
        settled().await;
        if condition() {
            return;
        }
        assert!(attempt < 60_000, "it does not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

#[async_trait]
impl TokenSource for Source {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        let (Issuer { clock, state }, key) = (&self.0, self.1);
        let number = {
            let mut starts = state.starts.lock().unwrap();
            let starts = starts.entry(key).or_default();
            starts.push(clock.now().monotonic());
            starts.len()
        };
        let running = state.running.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_running.fetch_max(running, Ordering::SeqCst);
        let answer = state.answers.acquire().await.unwrap();
        answer.forget();
        state.running.fetch_sub(1, Ordering::SeqCst);
        if *state.down.lock().unwrap() {
            return Err(io::Error::other("the issuer is down").into());
        }
        Ok(TemporaryToken::new(format!("{key}.{number}"), clock.after(*state.lifetime.lock().unwrap())))
    }
}

#[tokio::test]
async fn callers_of_a_key_share_a_fetch() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    let tokens = join_all((0..1000).map(|n| {
        let caches = caches.clone();
        async move { caches.get(&(n % 10)).await.unwrap() }
    }))
    .await;
    assert_eq!((issuer.fetches(), issuer.state.sources.load(Ordering::SeqCst)), (10, 10));
    for (n, token) in (0..).zip(tokens) {
        assert_eq!(*token, format!("{}.1", n % 10));
    }
    assert_eq!((caches.len(), caches.status().fresh), (10, 10));
}

#[tokio::test]
async fn a_key_is_removed_after_its_idle_time() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    for key in 0..3 {
        caches.get(&key).await.unwrap();
    }
    let _held = caches.cache(&1);
    issuer.clock.advance(30 * MINUTE);
    caches.get(&2).await.unwrap();
    issuer.clock.advance(30 * MINUTE);
    eventually(|| caches.len() == 2).await;
    issuer.clock.advance(30 * MINUTE);
    eventually(|| caches.len() == 1).await;
    assert_eq!(caches.cache(&1).status().generation, 1, "the held one is kept");
    caches.get(&0).await.unwrap();
    assert_eq!(issuer.fetches_of(0), 2);
}

/// A table of weak handles fetched once per request if nobody held the cache between them.
#[tokio::test]
async fn ten_requests_without_a_handle_cost_one_fetch() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    for _ in 0..10 {
        caches.get(&7).await.unwrap();
        issuer.clock.advance(MINUTE);
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn the_least_recently_read_key_makes_room() {
    let issuer = Issuer::new();
    let caches = issuer.builder().max_keys(3).build();
    for key in [0, 1, 2] {
        caches.get(&key).await.unwrap();
        issuer.clock.advance(SECOND);
    }
    caches.get(&0).await.unwrap();
    issuer.clock.advance(SECOND);
    caches.get(&3).await.unwrap();
    assert_eq!(caches.len(), 3);
    for (key, fetches) in [(0, 1), (2, 1), (3, 1), (1, 2)] {
        caches.get(&key).await.unwrap();
        issuer.clock.advance(SECOND);
        assert_eq!(issuer.fetches_of(key), fetches, "key {key}");
    }
}

#[tokio::test]
async fn held_keys_do_not_make_room() {
    let issuer = Issuer::new();
    let caches = issuer.builder().max_keys(2).build();
    let held: Vec<_> = (0..4).map(|key| caches.cache(&key)).collect();
    assert_eq!(caches.len(), 4, "all are held");
    drop(held);
    let _new = caches.cache(&4);
    assert_eq!(caches.len(), 2);
}

#[tokio::test]
async fn a_key_that_callers_wait_for_does_not_make_room() {
    let issuer = Issuer::new();
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    let caches = issuer.builder().max_keys(1).build();
    let mut waits = Box::pin(caches.get(&0));
    assert!((&mut waits).now_or_never().is_none());
    let _other = caches.cache(&1);
    settled().await;
    issuer.state.answers.add_permits(1);
    assert_eq!(*waits.await.unwrap(), "0.1");
}

#[tokio::test]
async fn a_removed_key_is_forgotten() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    let token = caches.get(&0).await.unwrap();
    let weak = Arc::downgrade(&token);
    drop(token);
    caches.remove(&0);
    assert!(caches.is_empty() && weak.upgrade().is_none());
    assert_eq!(*caches.get(&0).await.unwrap(), "0.2");
}

#[tokio::test]
async fn a_rejection_concerns_its_key() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    let token = caches.get(&0).await.unwrap();
    caches.get(&1).await.unwrap();
    issuer.clock.advance(10 * SECOND);
    assert_eq!(*caches.replace(&0, &token).await.unwrap(), "0.2");
    issuer.clock.advance(10 * SECOND);
    caches.invalidate(&0, &caches.get(&0).await.unwrap());
    caches.invalidate(&5, &token);
    assert_eq!(*caches.get(&0).await.unwrap(), "0.3");
    assert_eq!((issuer.fetches_of(1), caches.len()), (1, 2));
}

#[tokio::test]
async fn the_status_counts_all_keys() {
    let issuer = Issuer::new();
    let caches = issuer.builder().build();
    for key in 0..3 {
        caches.get(&key).await.unwrap();
    }
    *issuer.state.down.lock().unwrap() = true;
    assert_eq!(caches.get(&3).await.unwrap_err().kind(), ErrorKind::Source);
    let status = caches.status();
    assert_eq!((status.keys, status.valid, status.fresh, status.failing), (4, 3, 3, 1));
    issuer.clock.advance(2 * HOUR);
    assert_eq!(caches.status().valid, 0);
    assert!(!format!("{caches:?}").contains("0.1"));
}

#[tokio::test]
async fn settings_depend_on_the_key() {
    let issuer = Issuer::new();
    let caches = issuer.builder().cache(|cache, key| cache.expiry_buffer(*key * MINUTE)).build();
    for key in [5, 20] {
        caches.get(&key).await.unwrap();
    }
    issuer.clock.advance(50 * MINUTE);
    let freshness = |key| caches.cache(&key).status().freshness;
    assert_eq!((freshness(5), freshness(20)), (Freshness::Fresh, Freshness::NearExpiry));
}

#[tokio::test]
async fn fetches_start_evenly_spaced() {
    let issuer = Issuer::new();
    let caches = issuer.builder().fetches_per_second(10).build();
    let waiting: Vec<_> = (0..20).map(|key| spawn_get(&caches, key)).collect();
    for fetches in 1..=20 {
        issuer.wait_for_fetches(fetches).await;
        issuer.clock.advance(SECOND / 10);
    }
    for get in waiting {
        get.await.unwrap().unwrap();
    }
    let mut starts: Vec<_> = issuer.state.starts.lock().unwrap().values().flatten().copied().collect();
    starts.sort_unstable();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= SECOND / 10), "{starts:?}");
}

#[tokio::test]
async fn the_number_of_fetches_at_once_is_limited() {
    let issuer = Issuer::new();
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    let caches = issuer.builder().concurrent_fetches(3).build();
    let waiting: Vec<_> = (0..10).map(|key| spawn_get(&caches, key)).collect();
    settled().await;
    assert_eq!(issuer.fetches(), 3);
    let status = caches.status();
    assert_eq!((status.fetching, status.waiting), (3, 7));
    for answered in 0..10 {
        assert_eq!(issuer.fetches(), (answered + 3).min(10));
        issuer.state.answers.add_permits(1);
        settled().await;
    }
    for get in waiting {
        get.await.unwrap().unwrap();
    }
    assert_eq!(issuer.state.most_running.load(Ordering::SeqCst), 3);
}

/// A fetch that fails, panics, times out or is aborted gives its turn to the next.
#[tokio::test]
async fn every_end_of_a_fetch_gives_its_turn_away() {
    let issuer = Issuer::new();
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    let caches = issuer.builder().concurrent_fetches(1).build();
    let timed_out = spawn_get(&caches, 0);
    settled().await;
    issuer.clock.advance(31 * SECOND);
    assert_eq!(timed_out.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);

    let aborted = spawn_get(&caches, 1);
    settled().await;
    let next = spawn_get(&caches, 2);
    settled().await;
    assert_eq!((issuer.fetches_of(1), issuer.fetches_of(2)), (1, 0));
    aborted.abort();
    settled().await;
    caches.remove(&1);
    settled().await;
    assert_eq!(issuer.fetches_of(2), 1);
    issuer.state.answers.add_permits(1);
    next.await.unwrap().unwrap();
}

/// A runtime that nobody drives never ends its tasks.
#[tokio::test]
async fn p12_an_undriven_runtime_does_not_keep_its_turn() {
    let undriven = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = undriven.handle().clone();
    let issuer = Issuer::new();
    let settings = move |cache: TokenCacheBuilder<String>, key: &u32| match key {
        0 => cache.runtime(handle.clone()),
        _ => cache.fetch_timeout(10 * MINUTE),
    };
    let caches = issuer.builder().concurrent_fetches(1).cache(settings).build();
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    let first = spawn_get(&caches, 0);
    settled().await;
    // The fetch begins and waits for its answer. Then nobody drives it any more.
    thread::scope(|scope| scope.spawn(|| undriven.block_on(settled())).join().unwrap());
    assert_eq!(issuer.fetches_of(0), 1);
    let second = spawn_get(&caches, 1);
    settled().await;
    assert_eq!(issuer.fetches_of(1), 0);
    issuer.clock.advance(31 * SECOND);
    eventually(|| issuer.fetches_of(1) == 1).await;
    // The fetch that nobody drives still waits for its answer.
    issuer.state.answers.add_permits(2);
    assert_eq!(*second.await.unwrap().unwrap(), "1.1");
    assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    undriven.shutdown_background();
}

#[tokio::test]
async fn a_fetch_that_callers_wait_for_comes_first() {
    let issuer = Issuer::new();
    let caches = issuer.builder().concurrent_fetches(1).build();
    for key in 0..5 {
        caches.get(&key).await.unwrap();
    }
    issuer.clock.advance(56 * MINUTE);
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    for key in 0..5 {
        assert_eq!(*caches.get(&key).await.unwrap(), format!("{key}.1"), "it does not wait");
        settled().await;
    }
    let first = spawn_get(&caches, 9);
    settled().await;
    assert_eq!((issuer.fetches_of(0), issuer.fetches_of(9)), (2, 0));
    issuer.state.answers.add_permits(1);
    settled().await;
    assert_eq!((issuer.fetches_of(9), issuer.fetches_of(1)), (1, 1));
    issuer.state.answers.add_permits(1);
    assert_eq!(*first.await.unwrap().unwrap(), "9.1");
    settled().await;
    assert_eq!(issuer.fetches_of(1), 2);
}

/// A refresh in the background that is still queued when its token ends comes before the others.
#[tokio::test]
async fn a_queued_refresh_becomes_urgent_when_a_caller_waits() {
    let issuer = Issuer::new();
    let caches = issuer.builder().concurrent_fetches(1).build();
    for key in 0..4 {
        caches.get(&key).await.unwrap();
    }
    issuer.clock.advance(56 * MINUTE);
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    for key in 0..4 {
        caches.get(&key).await.unwrap();
        settled().await;
    }
    caches.invalidate(&3, &caches.get(&3).await.unwrap());
    let waits = spawn_get(&caches, 3);
    settled().await;
    issuer.state.answers.add_permits(1);
    settled().await;
    assert_eq!((issuer.fetches_of(3), issuer.fetches_of(1)), (2, 1));
    issuer.state.answers.add_permits(1);
    assert_eq!(*waits.await.unwrap().unwrap(), "3.2");
}

#[tokio::test]
async fn a_refresh_may_wait_for_its_turn_longer_than_the_timeout() {
    let issuer = Issuer::new();
    let caches = issuer.builder().concurrent_fetches(1).cache(|cache, _| cache.fetch_timeout(20 * SECOND)).build();
    for key in 0..12 {
        caches.get(&key).await.unwrap();
    }
    issuer.clock.advance(55 * MINUTE);
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    for key in 0..12 {
        caches.get(&key).await.unwrap();
    }
    // Each of them times out after 20 seconds, except for the last one.
    for _ in 0..44 {
        issuer.clock.advance(5 * SECOND);
        settled().await;
    }
    let queued = (0..12).find(|key| issuer.fetches_of(*key) == 2 && caches.cache(key).status().failures == 0).unwrap();
    issuer.state.answers.add_permits(1);
    settled().await;
    let status = caches.cache(&queued).status();
    assert_eq!((status.generation, status.fetch), (2, FetchState::Idle));
}

#[tokio::test]
async fn a_caller_without_a_token_does_not_wait_for_ever() {
    let issuer = Issuer::new();
    issuer.state.answers.forget_permits(Semaphore::MAX_PERMITS);
    let caches =
        issuer.builder().concurrent_fetches(1).cache(|cache, key| cache.fetch_timeout((1 + key) * MINUTE)).build();
    let first = spawn_get(&caches, 9);
    settled().await;
    let second = spawn_get(&caches, 0);
    settled().await;
    for _ in 0..13 {
        issuer.clock.advance(5 * SECOND);
        settled().await;
    }
    let error = second.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("did not get its turn within 60s"), "{error}");
    issuer.state.answers.add_permits(1);
    first.await.unwrap().unwrap();
}

/// 500 keys that expire within three seconds, and an issuer that accepts 100 calls per second. The benchmark has 10,000.
#[tokio::test]
async fn keys_that_expire_together_do_not_stampede_their_issuer() {
    const KEYS: u32 = 500;
    const STEP: Duration = Duration::from_millis(10);
    let issuer = Issuer::new();
    let caches = issuer.builder().fetches_per_second(100).build();
    for key in 0..KEYS {
        let lifetime = HOUR + 3 * SECOND * key / KEYS;
        caches.cache(&key).store(TemporaryToken::expires_in(format!("{key}.0"), lifetime)).unwrap();
    }
    issuer.clock.advance(56 * MINUTE);
    let read_all = || {
        for key in 0..KEYS {
            assert!(caches.get(&key).now_or_never().expect("a caller of a good token waits").is_ok());
        }
    };
    read_all();
    for fetches in 1..=KEYS as usize {
        issuer.wait_for_fetches(fetches).await;
        if fetches % 100 == 0 {
            read_all();
        }
        issuer.clock.advance(STEP);
    }
    eventually(|| caches.status().fresh == KEYS as usize).await;
    let mut starts: Vec<_> = issuer.state.starts.lock().unwrap().values().flatten().copied().collect();
    starts.sort_unstable();
    assert!(starts.windows(101).all(|window| window[100] - window[0] >= SECOND), "more than 100 in one second");
}

fn spawn_get(caches: &Caches, key: u32) -> tokio::task::JoinHandle<Result<Arc<String>, token_cache_core::Error>> {
    let caches = caches.clone();
    tokio::spawn(async move { caches.get(&key).await })
}
