//! Every order in which two callers, and the fetches that they cause, can take their steps: over the real code, whose locks,
//! published word and tasks are then the model's.
//!
//! ```sh
//! RUSTFLAGS="--cfg token_cache_loom" cargo test -p token-cache-core --release --test interleaving
//! ```
//!
//! A caller here polls once and goes: whether it gets a token then, and which, is what depends on the order.

#![cfg(token_cache_loom)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use loom::thread;
use token_cache_core::{Clock, TemporaryToken, TimePoint, TokenCache, source_fn};
use token_cache_testing::VirtualClock;

const HOUR: Duration = Duration::from_secs(3600);

fn every_order(model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders, all that there are", orders.load(Ordering::Relaxed));
}

/// A cache over a source of the tokens 1, 2, 3 ..., which holds the token 0 with `left` of its hour.
struct Bench {
    cache: TokenCache<usize>,
    ledger: Arc<Ledger>,
}

/// What the source was asked. Checked when the cache, its tasks and the test are through with it.
struct Ledger {
    given: AtomicUsize,
    at_once: loom::sync::atomic::AtomicUsize,
    allowed: AtomicUsize,
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let (given, allowed) = (self.given.load(Ordering::SeqCst), self.allowed.load(Ordering::SeqCst));
            assert!(given <= allowed, "{given} fetches where {allowed} are due");
        }
    }
}

impl Bench {
    fn new(left: Duration, allowed: usize) -> Self {
        let clock = VirtualClock::new();
        let ledger = Arc::new(Ledger {
            given: AtomicUsize::new(0),
            at_once: loom::sync::atomic::AtomicUsize::new(0),
            allowed: AtomicUsize::new(allowed),
        });
        let source = source_fn({
            let (ledger, clock) = (Arc::clone(&ledger), clock.clone());
            move || {
                let (ledger, clock) = (Arc::clone(&ledger), clock.clone());
                async move {
                    assert_eq!(ledger.at_once.fetch_add(1, Ordering::SeqCst), 0, "p07: two fetches at once");
                    ledger.at_once.fetch_sub(1, Ordering::SeqCst);
                    let number = ledger.given.fetch_add(1, Ordering::SeqCst) + 1;
                    Ok::<_, std::io::Error>(TemporaryToken::new(number, clock.after(HOUR)))
                }
            }
        });
        let cache = TokenCache::builder(source)
            .jitter(0.0)
            .min_refresh_interval(Duration::ZERO)
            .initial(TemporaryToken::new(0, clock.after(HOUR)))
            .clock(Tickless(clock.clone()))
            .build();
        clock.advance(HOUR - left);
        Self { cache, ledger }
    }
}

/// What a caller gets who does not wait.
fn get(cache: &TokenCache<usize>) -> Option<Arc<usize>> {
    cache.get().now_or_never().map(Result::unwrap)
}

/// So that no reader notes what it has found: with notes there are too many orders to look at.
#[derive(Debug)]
struct Tickless(VirtualClock);

impl Clock for Tickless {
    fn now(&self) -> TimePoint {
        self.0.now()
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep_until(monotonic)
    }
}

const NEAR_EXPIRY: Duration = Duration::from_secs(240);

#[test]
fn p01_p07_readers_near_expiry_never_wait_never_go_back_and_cost_one_fetch() {
    every_order(|| {
        let Bench { cache, ledger } = Bench::new(NEAR_EXPIRY, 1);
        let read_twice = |cache: &TokenCache<usize>| {
            let (one, two) = (get(cache).expect("p01"), get(cache).expect("p01"));
            let three = cache.peek().unwrap();
            assert!(*one <= *two && *two <= *three, "{one}, {two}, {three}");
        };
        let other = thread::spawn({
            let cache = cache.clone();
            move || read_twice(&cache)
        });
        read_twice(&cache);
        other.join().unwrap();
        drop((cache, ledger));
    });
}

#[test]
fn p07_callers_who_find_an_expired_token_cost_one_fetch_and_agree() {
    every_order(|| {
        let Bench { cache, ledger } = Bench::new(Duration::ZERO, 1);
        let other = thread::spawn({
            let cache = cache.clone();
            move || get(&cache)
        });
        let (mine, others) = (get(&cache), other.join().unwrap());
        for token in [mine, others].into_iter().flatten() {
            assert_eq!(*token, 1, "p02");
        }
        drop((cache, ledger));
    });
}

#[test]
fn p15_who_has_rejected_a_token_does_not_get_it_again_whatever_is_under_way() {
    every_order(|| {
        // The other's read starts a refresh, whose answer may be doubted: then there is one more.
        let Bench { cache, ledger } = Bench::new(NEAR_EXPIRY, 2);
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
        drop((cache, ledger));
    });
}

#[test]
fn p15_of_two_rejections_of_one_token_neither_takes_the_next_one_away() {
    every_order(|| {
        let Bench { cache, ledger } = Bench::new(HOUR, 1);
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
        drop((cache, ledger));
    });
}

#[test]
fn p14_the_last_handle_and_a_fetch_may_end_in_any_order() {
    every_order(|| {
        let Bench { cache, ledger } = Bench::new(NEAR_EXPIRY, 1);
        let other = thread::spawn({
            let cache = cache.clone();
            move || drop(get(&cache))
        });
        drop(get(&cache));
        drop(cache);
        other.join().unwrap();
        drop(ledger);
    });
}

#[test]
fn p15_who_has_seen_that_a_token_is_gone_does_not_find_it_in_its_notes() {
    every_order(|| {
        let cache =
            TokenCache::builder(source_fn(|| async { Err::<TemporaryToken<usize>, _>(std::io::Error::other("")) }))
                .initial(TemporaryToken::never_expires(0))
                .clock(VirtualClock::new())
                .build();
        let rejected = get(&cache).unwrap(); // and noted
        let other = thread::spawn({
            let cache = cache.clone();
            move || cache.invalidate(&rejected)
        });
        if cache.peek().is_none() {
            assert!(cache.get().now_or_never().is_none_or(|outcome| outcome.is_err()));
        }
        other.join().unwrap();
    });
}
