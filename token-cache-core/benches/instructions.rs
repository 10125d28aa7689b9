//! Counts the instructions of a hit with callgrind. The count does not depend on the load of the machine.
//!
//! ```sh
//! cargo install --locked gungraun-runner --version 0.18.2   # needs valgrind
//! cargo bench -p token-cache-core --bench instructions
//! ```
//!
//! Fails if a hit exceeds its limit. The clock is a manual one: the instructions of a system clock belong to the kernel.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unused_qualifications,
    reason = "a benchmark, and the code that its macros generate"
)]

use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use token_cache_core::{
    BoxError, Clock, FetchState, Freshness, TemporaryToken, TimePoint, TokenCache, TokenSource, View, async_trait,
};
use tokio::runtime::{Builder, Runtime};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The limit of a hit whose deadlines have been checked in the current tick: 10 % above the measured count.
const SAME_TICK: u64 = 174;

/// The same for a view, which also loads the conversion.
const VIEW: u64 = 178;

/// The limit of the first hit in a tick, which checks the deadlines.
const FIRST_IN_TICK: u64 = 469;

type Token = Arc<&'static str>;

/// A cache in a certain state, and what keeps it in that state.
struct Harness {
    cache: TokenCache<&'static str>,
    view: View<&'static str, usize>,
    clock: ManualClock,
    _runtime: Runtime,
}

/// What the source does after it has returned its first token.
#[derive(Clone, Copy)]
enum Refresh {
    Hangs,
    Fails,
}

struct Source {
    refresh: Refresh,
    calls: AtomicU64,
}

#[async_trait]
impl TokenSource for Source {
    type Token = &'static str;

    async fn fetch(&self) -> Result<TemporaryToken<&'static str>, BoxError> {
        match (self.calls.fetch_add(1, Ordering::Relaxed), self.refresh) {
            (0, _) => Ok(TemporaryToken::expires_in("a", HOUR)),
            (_, Refresh::Hangs) => std::future::pending().await,
            (_, Refresh::Fails) => Err("the issuer is down".into()),
        }
    }
}

/// The seconds since its start. Every second is a tick.
#[derive(Clone, Debug, Default)]
struct ManualClock(Arc<AtomicU64>);

impl Clock for ManualClock {
    fn now(&self) -> TimePoint {
        let now = Duration::from_secs(self.0.load(Ordering::Relaxed));
        TimePoint::new(now, SystemTime::UNIX_EPOCH + now)
    }

    fn tick(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed) + 1)
    }

    fn sleep_until(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A cache that stores a token with `remaining` of its lifetime of one hour.
fn with_remaining(remaining: Duration, refresh: Refresh) -> Box<Harness> {
    let clock = ManualClock::default();
    let source = Source { refresh, calls: AtomicU64::new(0) };
    let cache = TokenCache::builder(source).jitter(0.0).clock(clock.clone()).build();
    let runtime = Builder::new_current_thread().build().unwrap();
    let view = cache.view(|token| token.len());
    runtime.block_on(async {
        view.get().await.unwrap();
        clock.0.store((HOUR - remaining).as_secs(), Ordering::Relaxed);
        // The first read decides whether to fetch, and the second checks the deadlines of that decision.
        for _ in 0..3 {
            let _ = cache.get().now_or_never();
            let _ = view.get().now_or_never();
            tokio::task::yield_now().await;
        }
    });
    Box::new(Harness { cache, view, clock, _runtime: runtime })
}

fn fresh() -> Box<Harness> {
    expect(with_remaining(HOUR, Refresh::Fails), Freshness::Fresh, false)
}

fn near_expiry_in_flight() -> Box<Harness> {
    expect(with_remaining(4 * MINUTE, Refresh::Hangs), Freshness::NearExpiry, true)
}

fn near_expiry_in_backoff() -> Box<Harness> {
    expect(with_remaining(4 * MINUTE, Refresh::Fails), Freshness::NearExpiry, false)
}

fn too_short_in_backoff() -> Box<Harness> {
    expect(with_remaining(MINUTE / 2, Refresh::Fails), Freshness::TooShort, false)
}

fn next_tick() -> Box<Harness> {
    let harness = fresh();
    harness.clock.0.fetch_add(1, Ordering::Relaxed);
    harness
}

fn expect(harness: Box<Harness>, freshness: Freshness, refreshing: bool) -> Box<Harness> {
    let status = harness.cache.status();
    assert!(status.freshness == freshness && (status.fetch != FetchState::Idle) == refreshing, "{status:?}");
    harness
}

#[library_benchmark]
#[bench::fresh(fresh())]
#[bench::near_expiry_in_flight(near_expiry_in_flight())]
#[bench::near_expiry_in_backoff(near_expiry_in_backoff())]
#[bench::too_short_in_backoff(too_short_in_backoff())]
fn get(harness: Box<Harness>) -> (Token, Box<Harness>) {
    (black_box(&harness.cache).get().now_or_never().unwrap().unwrap(), harness)
}

#[library_benchmark]
#[bench::fresh(fresh())]
#[bench::near_expiry_in_flight(near_expiry_in_flight())]
fn view(harness: Box<Harness>) -> (Arc<usize>, Box<Harness>) {
    (black_box(&harness.view).get().now_or_never().unwrap().unwrap(), harness)
}

#[library_benchmark]
#[bench::next_tick(next_tick())]
fn get_first_in_tick(harness: Box<Harness>) -> (Token, Box<Harness>) {
    (black_box(&harness.cache).get().now_or_never().unwrap().unwrap(), harness)
}

library_benchmark_group!(
    name = same_tick;
    config = limit(SAME_TICK);
    benchmarks = get
);

library_benchmark_group!(
    name = same_tick_view;
    config = limit(VIEW);
    benchmarks = view
);

library_benchmark_group!(
    name = first_in_tick;
    config = limit(FIRST_IN_TICK);
    benchmarks = get_first_in_tick
);

fn limit(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

main!(library_benchmark_groups = same_tick, same_tick_view, first_in_tick);
