//! Promises 12 and 27: no caller waits for ever, whoever drives the fetch and wherever the caller is polled.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;

use futures::FutureExt;
use futures::executor::block_on;
use token_cache_core::{Clock, ErrorKind, FetchState, SystemClock, TokenCache, WeakTokenCache, source_fn};
use tokio::runtime::Builder;

use super::*;

fn multi_thread(workers: usize) -> tokio::runtime::Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().unwrap()
}

/// A cache on the system's clock, with a source that answers after a yield.
fn real_cache() -> TokenCache<Token> {
    TokenCache::builder(source_fn(|| async {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("a", HOUR))
    }))
    .build()
}

/// <https://github.com/ArroyoSystems/arroyo/issues/803>, <https://github.com/fede1024/rust-rdkafka/issues/727>
#[test]
fn p12_a_task_that_blocks_its_worker_gets_a_token() {
    multi_thread(2).block_on(async {
        let cache = real_cache();
        let blocking = tokio::spawn(async move { block_on(cache.get()) });
        assert_eq!(*blocking.await.unwrap().unwrap(), "a");
    });
}

/// <https://github.com/tokio-rs/tokio/issues/4941>
#[test]
fn p12_a_task_that_computes_does_not_delay_the_fetch() {
    multi_thread(2).block_on(async {
        let (cache, other) = (real_cache(), OnceLock::new());
        other.set(cache.clone()).unwrap();
        let computes = tokio::spawn(async move {
            drop(cache.get().now_or_never()); // starts the fetch
            while cache.peek().is_none() {
                thread::yield_now();
            }
        });
        assert_eq!(*other.get().unwrap().get().await.unwrap(), "a");
        computes.await.unwrap();
    });
}

#[test]
fn p12_blocked_workers_are_noticed() {
    let runtime = multi_thread(2);
    let harness = Harness::new();
    let (blocked, both_blocked) = mpsc::channel();
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (cache, blocked) = (harness.cache.clone(), blocked.clone());
            runtime.spawn(async move {
                blocked.send(()).unwrap();
                block_on(cache.get()).unwrap_err().kind()
            })
        })
        .collect();
    both_blocked.recv().unwrap();
    both_blocked.recv().unwrap();
    while harness.cache.status().fetch == FetchState::Idle {
        thread::yield_now();
    }
    harness.clock.advance(MINUTE);
    for task in tasks {
        let kind = block_on(task).unwrap();
        assert!([ErrorKind::NoRuntime, ErrorKind::TimedOut].contains(&kind), "{kind:?}");
    }
}

#[test]
fn p12_a_source_that_blocks_its_thread_times_out() {
    let (release, released) = mpsc::channel::<()>();
    let (released, clock) = (std::sync::Mutex::new(released), VirtualClock::new());
    let started = Arc::new(AtomicBool::new(false));
    let source = source_fn({
        let started = Arc::clone(&started);
        move || {
            started.store(true, Ordering::SeqCst);
            released.lock().unwrap().recv().unwrap();
            async { Ok::<_, std::io::Error>(TemporaryToken::expires_in("a", HOUR)) }
        }
    });
    let cache = TokenCache::builder(source).clock(clock.clone()).fetch_timeout(SECOND).build();
    let runtime = multi_thread(2);
    let get = runtime.spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    while !started.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    clock.advance(SECOND);
    assert_eq!(block_on(get).unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    release.send(()).unwrap();
}

#[test]
fn p12_a_plain_thread_does_not_wait_for_an_undriven_runtime() {
    let (idle, harness) = (runtime(), Harness::new());
    idle.block_on(async { assert!(harness.poll_get().is_none()) });
    let waits = thread::spawn({
        let cache = harness.cache.clone();
        move || block_on(cache.get())
    });
    harness.clock.advance(30 * SECOND);
    let error = waits.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert!(error.to_string().contains("did not start"), "{error}");
    drop(idle);
}

#[test]
fn p12_a_configured_runtime_that_nobody_drives_is_noticed() {
    let idle = runtime();
    let harness = Harness::with(|builder| builder.runtime(idle.handle().clone()));
    runtime().block_on(async {
        let get = harness.spawn_get();
        settled().await;
        harness.clock.advance(30 * SECOND);
        assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
    });
}

#[test]
fn p12_a_call_that_moves_to_another_runtime_goes_on() {
    let (first, second, mut harness) = (runtime(), runtime(), Harness::new());
    let cache = harness.cache.clone();
    let mut get = Box::pin(async move { cache.get().await });
    first.block_on(async { assert!((&mut get).now_or_never().is_none()) });
    drop(first);
    harness.clock.advance(SECOND);
    let token = second.block_on(async {
        assert!((&mut get).now_or_never().is_none());
        harness.succeed("a", HOUR).await;
        get.await
    });
    assert_eq!(*token.unwrap(), "a");
}

/// <https://github.com/tokio-rs/tokio/issues/3172>
#[test]
fn p12_a_runtime_without_timers_is_enough() {
    let cache = real_cache();
    let without_timers = runtime();
    assert_eq!(*without_timers.block_on(cache.get()).unwrap(), "a");
    without_timers.block_on(async {
        let clock = SystemClock::new();
        clock.sleep_until(clock.now().monotonic() + MS).await;
    });
    // With a soft deadline, which needs a timer.
    let harness = Harness::with(|builder| builder.runtime(without_timers.handle().clone()));
    without_timers.block_on(async {
        let mut harness = harness;
        harness.fetch("a", HOUR).await;
        harness.clock.advance(HOUR - 30 * SECOND);
        let get = harness.spawn_get();
        let _hangs = harness.source.next_fetch().await;
        harness.clock.advance(3 * SECOND);
        assert_eq!(*get.await.unwrap().unwrap(), "a");
    });
}

/// <https://github.com/tokio-rs/tokio/issues/4522>
#[tokio::test(start_paused = true)]
async fn p21_keep_warm_works_with_a_paused_clock() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let source = source_fn({
        let fetches = Arc::clone(&fetches);
        move || {
            fetches.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, std::io::Error>(TemporaryToken::expires_in("a", HOUR)) }
        }
    });
    let cache = TokenCache::builder(source).jitter(0.0).keep_warm(Duration::MAX).build();
    assert_eq!(*cache.get().await.unwrap(), "a");
    for _ in 0..1000 {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

/// A clock that counts how often it is read.
#[derive(Clone, Debug)]
struct CountingClock {
    clock: VirtualClock,
    reads: Arc<AtomicUsize>,
}

impl Clock for CountingClock {
    fn now(&self) -> token_cache_core::TimePoint {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn sleep_until(&self, monotonic: Duration) -> futures::future::BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}

#[test]
fn p21_keep_warm_never_spins_on_a_runtime_that_shuts_down() {
    let ended = runtime();
    let handle = ended.handle().clone();
    drop(ended);
    let clock = CountingClock { clock: VirtualClock::new(), reads: Arc::default() };
    let harness = Harness::with(|builder| builder.clock(clock.clone()).runtime(handle).keep_warm(Duration::MAX));
    for _ in 0..10 {
        assert!(harness.poll_get().is_some_and(|result| result.is_err()));
    }
    let reads = clock.reads.load(Ordering::SeqCst);
    assert!(reads < 1000, "{reads} reads");
}

#[test]
fn p21_keep_warm_ends_with_its_runtime() {
    for round in 0..50 {
        let runtime = multi_thread(2);
        let cache =
            TokenCache::builder(source_fn(|| async { Ok::<_, std::io::Error>(TemporaryToken::expires_in("a", MS)) }))
                .min_refresh_interval(Duration::ZERO)
                .keep_warm(Duration::MAX);
        let cache = runtime.block_on(async { cache.build() });
        let _ = runtime.block_on(cache.get());
        runtime.spawn({
            let cache = cache.clone();
            async move { while cache.get().await.is_ok() {} }
        });
        drop(runtime);
        assert!(cache.get().now_or_never().is_some(), "round {round}");
    }
}

#[test]
fn p27_synchronous_code_gets_a_token() {
    let cache = real_cache();
    assert_eq!(*cache.get_blocking().unwrap(), "a");
    assert_eq!(*cache.get_blocking().unwrap(), "a", "a hit");
}

#[test]
fn p27_synchronous_code_gets_background_refreshes() {
    let mut harness = Harness::new();
    let cache = harness.cache.clone();
    let first = thread::spawn(move || cache.get_blocking());
    block_on(harness.source.wait_for_fetch()).succeed_for("a", HOUR);
    assert_eq!(*first.join().unwrap().unwrap(), "a");
    harness.clock.advance(HOUR - 4 * MINUTE);
    assert_eq!(*harness.cache.get_blocking().unwrap(), "a");
    block_on(harness.source.wait_for_fetch()).succeed_for("b", HOUR);
    while *harness.cache.get_blocking().unwrap() != "b" {
        thread::yield_now();
    }
}

#[test]
fn p27_spawn_blocking_gets_a_token() {
    for runtime in [multi_thread(1), runtime()] {
        let cache = real_cache();
        let get = runtime.block_on(async { tokio::task::spawn_blocking(move || cache.get_blocking()).await });
        assert_eq!(*get.unwrap().unwrap(), "a");
    }
}

#[test]
fn p27_an_async_task_gets_an_error_instead_of_blocking() {
    for runtime in [multi_thread(1), runtime()] {
        let mut harness = Harness::new();
        runtime.block_on(async {
            assert_eq!(harness.cache.get_blocking().unwrap_err().kind(), ErrorKind::WouldBlock);
            let in_task = tokio::spawn({
                let cache = harness.cache.clone();
                async move { cache.get_blocking() }
            });
            assert_eq!(in_task.await.unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
            let fetch = harness.source.wait_for_fetch().await;
            let get = harness.spawn_get();
            fetch.succeed_for("a", HOUR);
            assert_eq!(*get.await.unwrap().unwrap(), "a", "the fetch goes on");
            assert_eq!(*harness.cache.get_blocking().unwrap(), "a", "a usable token needs no waiting");
            harness.clock.advance(HOUR - 30 * SECOND);
            assert_eq!(*harness.cache.get_blocking().unwrap(), "a", "nor does one that is too short");
        });
    }
    let cache = real_cache();
    let in_place = multi_thread(1).block_on(async move {
        tokio::spawn(async move { tokio::task::block_in_place(|| cache.get_blocking()) }).await
    });
    assert_eq!(*in_place.unwrap().unwrap(), "a");
}

#[test]
fn p27_a_blocking_caller_does_not_wait_for_an_undriven_runtime() {
    let (idle, harness) = (runtime(), Harness::new());
    idle.block_on(async { assert!(harness.poll_get().is_none()) });
    let waits = thread::spawn({
        let cache = harness.cache.clone();
        move || cache.get_blocking()
    });
    harness.clock.advance(30 * SECOND);
    assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
}

/// A token whose destructor uses the cache, and may panic.
struct Inquisitive {
    cache: Arc<OnceLock<WeakTokenCache<Self>>>,
    drops: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
}

impl Drop for Inquisitive {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        if let Some(cache) = self.cache.get().and_then(WeakTokenCache::upgrade) {
            let _ = (cache.status(), cache.peek().is_some());
        }
        assert!(!self.panics.load(Ordering::SeqCst), "{DESTRUCTOR}");
    }
}

const DESTRUCTOR: &str = "the destructor of a token panics";

/// An answer that has expired, one that equals the rejected token, a rotated token, and the last handle of a rejected one.
#[test]
fn p12_destructors_of_tokens_run_without_the_lock() {
    for panics in [false, true] {
        runtime().block_on(async {
            let (cell, drops) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
            let panics = Arc::new(AtomicBool::new(panics));
            let token =
                || Inquisitive { cache: Arc::clone(&cell), drops: Arc::clone(&drops), panics: Arc::clone(&panics) };
            let mut harness = test_util::Harness::with(|builder| builder.token_eq(|_, _| true));
            assert!(cell.set(harness.cache.downgrade()).is_ok());
            let mut updates = harness.cache.subscribe();
            let last = |token: Arc<Inquisitive>| {
                // The handle of the test must not be the last one.
                assert!(Arc::strong_count(&token) > 1);
                drop(token);
            };

            last(harness.fetch(token(), HOUR).await);
            assert!(updates.changed().await.is_some());
            harness.clock.advance(SECOND);
            let refresh = spawn_refresh_of(&harness.cache);
            harness.succeed(token(), HOUR).await;
            last(refresh.await.unwrap().unwrap());
            assert_eq!(drops.load(Ordering::SeqCst), 1, "a rotated token");

            harness.clock.advance(SECOND);
            let refresh = spawn_refresh_of(&harness.cache);
            harness.succeed(token(), Duration::ZERO).await;
            let expired = refresh.await.unwrap();
            assert_eq!(expired.err().unwrap().kind(), ErrorKind::AlreadyExpired);
            assert_eq!(drops.load(Ordering::SeqCst), 2, "an expired answer");

            harness.clock.advance(MINUTE);
            let refresh = spawn_refresh_of(&harness.cache);
            let fetch = harness.source.next_fetch().await;
            let stored = harness.cache.peek().unwrap();
            harness.cache.invalidate(&stored);
            last(stored);
            fetch.succeed_for(token(), HOUR);
            settled().await;
            assert_eq!(drops.load(Ordering::SeqCst), 3, "an answer that equals the rejected token");
            harness.clock.advance(SECOND);
            harness.succeed(token(), HOUR).await;
            last(refresh.await.unwrap().unwrap());
            assert_eq!(drops.load(Ordering::SeqCst), 4, "the last handle of the rejected token");
            assert!(updates.changed().await.is_some());
            panics.store(false, Ordering::SeqCst);
        });
    }
}

fn spawn_refresh_of<T: Send + Sync + 'static>(cache: &TokenCache<T>) -> JoinHandle<Result<Arc<T>, Error>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.refresh().await })
}

/// <https://github.com/moka-rs/moka/issues/240>, <https://github.com/ben-manes/caffeine/issues/712>
#[tokio::test]
async fn p12_functions_of_the_user_may_use_the_cache() {
    let cell: Arc<OnceLock<WeakTokenCache<Token>>> = Arc::default();
    let look = {
        let cell = Arc::clone(&cell);
        move || drop(cell.get().and_then(WeakTokenCache::upgrade).map(|cache| (cache.status(), cache.peek())))
    };
    let (in_buffer, in_eq, in_event) = (look.clone(), look.clone(), look);
    let mut harness = Harness::with(|builder| {
        builder
            .expiry_buffer_by(move |lifetime| {
                in_buffer();
                lifetime / 2
            })
            .token_eq(move |one, two| {
                in_eq();
                one == two
            })
            .on_event(move |_| in_event())
    });
    assert!(cell.set(harness.cache.downgrade()).is_ok());
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    harness.clock.advance(SECOND);
    harness.succeed("a", HOUR).await;
    assert_eq!(*get.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn p12_a_function_of_the_user_that_panics_fails_the_fetch() {
    let mut harness = Harness::with(|builder| builder.expiry_buffer_by(|_| panic!("{CALLBACK}")));
    for failures in 1..=3 {
        let get = harness.spawn_get();
        harness.succeed("a", HOUR).await;
        assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::CallbackPanicked);
        let status = harness.cache.status();
        assert_eq!(status.failures, failures);
        assert!(!status.next_attempt.is_zero(), "paced");
        assert!(harness.poll_get().unwrap().is_err(), "paced");
        harness.clock.advance(status.next_attempt);
    }
    assert!(harness.log.take().iter().any(|event| matches!(event, token_cache_core::Event::FetchFailed { .. })));

    let mut harness = Harness::with(|builder| builder.token_eq(|_, _| panic!("{CALLBACK}")));
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    harness.clock.advance(SECOND);
    let get = harness.spawn_get();
    harness.succeed("b", HOUR).await;
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::CallbackPanicked);
}

const CALLBACK: &str = "a function of the user panics";
