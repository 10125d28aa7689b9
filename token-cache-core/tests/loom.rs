//! Every order in which threads can take their steps, checked with loom. The cache then uses loom's locks and threads.
//!
//! ```sh
//! RUSTFLAGS="--cfg token_cache_loom" cargo test -p token-cache-core --release --test loom
//! ```
//!
//! Callers are polled once and do not wait, so that the number of orders stays finite. No model limits the number of
//! preemptions.

#![cfg(token_cache_loom)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use loom::thread;
use token_cache_core::test_util::VirtualClock;
use token_cache_core::{Event, TemporaryToken, TokenCache, View, block_on, source_fn};

const HOUR: Duration = Duration::from_secs(3600);

fn check_all_orders(model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

/// A cache whose source returns the tokens 1, 2, 3 ..., and which stores the token 0 with `remaining` of one hour.
struct Scenario {
    cache: TokenCache<usize>,
    fetches: Arc<Fetches>,
}

/// Counts the fetches. Checked when the cache and its tasks are dropped.
struct Fetches {
    started: AtomicUsize,
    running: loom::sync::atomic::AtomicUsize,
    max: usize,
}

impl Drop for Fetches {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let started = self.started.load(Ordering::SeqCst);
            assert!(started <= self.max, "{started} fetches instead of at most {}", self.max);
        }
    }
}

impl Scenario {
    fn new(clock: VirtualClock, remaining: Duration, max_fetches: usize) -> Self {
        let fetches = Arc::new(Fetches {
            started: AtomicUsize::new(0),
            running: loom::sync::atomic::AtomicUsize::new(0),
            max: max_fetches,
        });
        let source = source_fn({
            let fetches = Arc::clone(&fetches);
            move || {
                let fetches = Arc::clone(&fetches);
                async move {
                    assert_eq!(fetches.running.fetch_add(1, Ordering::SeqCst), 0, "p07: two fetches at once");
                    fetches.running.fetch_sub(1, Ordering::SeqCst);
                    let token = fetches.started.fetch_add(1, Ordering::SeqCst) + 1;
                    Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, HOUR))
                }
            }
        });
        let cache = TokenCache::builder(source)
            .jitter(0.0)
            .min_refresh_interval(Duration::ZERO)
            .initial(TemporaryToken::expires_in(0, HOUR))
            .clock(clock.clone())
            .build();
        clock.advance(HOUR - remaining);
        Self { cache, fetches }
    }

    /// On a clock without a tick: otherwise readers write to the snapshot, and there are too many orders.
    fn without_tick(remaining: Duration, max_fetches: usize) -> Self {
        Self::new(VirtualClock::without_tick(), remaining, max_fetches)
    }
}

/// What a caller gets at its first poll.
fn get(cache: &TokenCache<usize>) -> Option<Arc<usize>> {
    cache.get().now_or_never().map(Result::unwrap)
}

const NEAR_EXPIRY: Duration = Duration::from_secs(240);

#[test]
fn p01_p07_readers_near_expiry_share_one_fetch() {
    check_all_orders(|| {
        let Scenario { cache, fetches } = Scenario::without_tick(NEAR_EXPIRY, 1);
        let read = |cache: &TokenCache<usize>| {
            let (first, second) = (get(cache).expect("p01"), cache.peek().unwrap());
            assert!(*first <= *second, "{first}, {second}");
        };
        let other = thread::spawn({
            let cache = cache.clone();
            move || read(&cache)
        });
        read(&cache);
        other.join().unwrap();
        drop((cache, fetches));
    });
}

#[test]
fn p07_callers_of_an_expired_token_share_one_fetch() {
    check_all_orders(|| {
        let Scenario { cache, fetches } = Scenario::without_tick(Duration::ZERO, 1);
        let other = thread::spawn({
            let cache = cache.clone();
            move || get(&cache)
        });
        let (one, two) = (get(&cache), other.join().unwrap());
        for token in [one, two].into_iter().flatten() {
            assert_eq!(*token, 1, "p02");
        }
        drop((cache, fetches));
    });
}

#[test]
fn p15_an_invalidated_token_never_returns() {
    check_all_orders(|| {
        // The read of the other thread starts a refresh, whose answer may be discarded. Then there is another fetch.
        let Scenario { cache, fetches } = Scenario::without_tick(NEAR_EXPIRY, 2);
        let rejected = cache.peek().unwrap();
        let other = thread::spawn({
            let cache = cache.clone();
            move || drop(get(&cache))
        });
        cache.invalidate(&rejected);
        for token in [get(&cache), cache.peek()].into_iter().flatten() {
            assert!(!Arc::ptr_eq(&rejected, &token));
        }
        other.join().unwrap();
        assert!(cache.peek().is_none_or(|token| !Arc::ptr_eq(&rejected, &token)));
        drop((cache, fetches));
    });
}

#[test]
fn p15_two_rejections_never_drop_the_next_token() {
    check_all_orders(|| {
        let Scenario { cache, fetches } = Scenario::without_tick(HOUR, 1);
        let rejected = cache.peek().unwrap();
        let reject = |cache: &TokenCache<usize>, rejected: &Arc<usize>| {
            cache.invalidate(rejected);
            drop(get(cache));
        };
        let other = thread::spawn({
            let (cache, rejected) = (cache.clone(), Arc::clone(&rejected));
            move || reject(&cache, &rejected)
        });
        reject(&cache, &rejected);
        other.join().unwrap();
        drop((cache, fetches));
    });
}

#[test]
fn p14_last_handle_and_fetch_end_in_any_order() {
    check_all_orders(|| {
        let Scenario { cache, fetches } = Scenario::without_tick(NEAR_EXPIRY, 1);
        let other = thread::spawn({
            let cache = cache.clone();
            move || drop(get(&cache))
        });
        drop(get(&cache));
        drop(cache);
        other.join().unwrap();
        drop(fetches);
    });
}

/// A cache whose source always fails, and which stores the token 0.
fn without_source(clock: VirtualClock) -> TokenCache<usize> {
    TokenCache::builder(source_fn(|| async { Err::<TemporaryToken<usize>, _>(std::io::Error::other("")) }))
        .initial(TemporaryToken::never_expires(0))
        .clock(clock)
        .build()
}

/// A cache that stores the token 0, and whose source has failed, so that it starts no fetch.
fn during_backoff() -> TokenCache<usize> {
    let cache = without_source(VirtualClock::without_tick());
    block_on(cache.refresh()).unwrap_err();
    cache
}

/// The tick must not hide an invalidation from a reader who knows of it.
#[test]
fn p15_a_tick_never_hides_an_invalidation() {
    check_all_orders(|| {
        let cache = without_source(VirtualClock::new());
        let rejected = get(&cache).unwrap(); // marks the snapshot as checked in this tick
        let other = thread::spawn({
            let cache = cache.clone();
            move || cache.invalidate(&rejected)
        });
        if cache.peek().is_none() {
            assert!(cache.get().now_or_never().is_none_or(|result| result.is_err()));
        }
        other.join().unwrap();
    });
}

/// The tick must not hide a rotation from a reader who has seen the newer token.
#[test]
fn p01_a_tick_never_hides_a_rotation() {
    check_all_orders(|| {
        let Scenario { cache, fetches } = Scenario::new(VirtualClock::new(), NEAR_EXPIRY, 1);
        let other = thread::spawn({
            let cache = cache.clone();
            move || {
                let seen = cache.peek().unwrap();
                assert!(*get(&cache).unwrap() >= *seen);
            }
        });
        drop(get(&cache)); // starts the refresh
        other.join().unwrap();
        drop((cache, fetches));
    });
}

/// A view that asserts that no token is converted twice at once.
fn view(cache: &TokenCache<usize>) -> View<usize, usize> {
    let running = [const { AtomicUsize::new(0) }; 2];
    cache.view(move |token| {
        assert_eq!(running[*token].fetch_add(1, Ordering::SeqCst), 0, "two conversions of a token at once");
        // A conversion takes time: other threads can run here.
        thread::yield_now();
        running[*token].fetch_sub(1, Ordering::SeqCst);
        *token
    })
}

/// What a caller of a view gets at its first poll.
fn convert(view: &View<usize, usize>) -> Option<Arc<usize>> {
    view.get().now_or_never().and_then(Result::ok)
}

/// As [`convert`], but waits for another caller who converts the same token.
fn convert_or_wait(view: &View<usize, usize>) -> Option<Arc<usize>> {
    block_on(view.get()).ok()
}

#[test]
fn p04_threads_share_one_conversion() {
    check_all_orders(|| {
        let cache = during_backoff();
        let view = view(&cache);
        let other = thread::spawn({
            let view = view.clone();
            move || convert_or_wait(&view).unwrap()
        });
        let (one, two) = (convert_or_wait(&view).unwrap(), other.join().unwrap());
        assert!(Arc::ptr_eq(&one, &two));
    });
}

/// The second reader runs in the task of the fetch, as a listener: with a third thread there are too many orders.
#[test]
fn p04_a_view_never_goes_back_during_a_rotation() {
    check_all_orders(|| {
        let clock = VirtualClock::without_tick();
        let (listener_view, newest) = (Arc::new(Mutex::new(None::<View<usize, usize>>)), Arc::new(AtomicUsize::new(0)));
        let cache =
            TokenCache::builder(source_fn(|| async { Ok::<_, std::io::Error>(TemporaryToken::expires_in(1, HOUR)) }))
                .jitter(0.0)
                .initial(TemporaryToken::expires_in(0, HOUR))
                .clock(clock.clone())
                .on_event({
                    let (view, newest) = (Arc::clone(&listener_view), Arc::clone(&newest));
                    move |event| {
                        let view = if matches!(event, Event::FetchSucceeded { .. }) {
                            view.lock().unwrap().take()
                        } else {
                            None
                        };
                        if let Some(token) = view.as_ref().and_then(convert) {
                            newest.store(*token, Ordering::SeqCst);
                        }
                    }
                })
                .build();
        let view = cache.view(|token| *token);
        *listener_view.lock().unwrap() = Some(view.clone());
        clock.advance(HOUR - NEAR_EXPIRY);

        drop(get(&cache)); // starts the refresh
        let newest_before = newest.load(Ordering::SeqCst);
        let token = convert_or_wait(&view).unwrap();
        assert!(*token >= newest_before, "{token} after {newest_before}");
    });
}

#[test]
fn p15_a_view_never_converts_an_invalidated_token() {
    check_all_orders(|| {
        let cache = during_backoff();
        let (view, rejected) = (view(&cache), cache.peek().unwrap());
        let other = thread::spawn({
            let view = view.clone();
            move || drop(convert(&view))
        });
        cache.invalidate(&rejected);
        assert!(convert(&view).is_none());
        other.join().unwrap();
        assert!(convert(&view).is_none());
    });
}
