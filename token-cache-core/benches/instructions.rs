//! How many instructions a hit takes in each freshness, as callgrind counts them: the same on a busy machine and on an idle one.
//!
//! ```sh
//! cargo install --locked gungraun-runner --version 0.18.2   # and valgrind
//! cargo bench -p token-cache-core --bench instructions
//! ```
//!
//! It fails when a hit goes over its budget. On a clock of its own: the machine's is the kernel's to count.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unused_qualifications,
    reason = "a benchmark, and what its macros make of it"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use token_cache_core::{
    BoxError, Clock, Freshness, TemporaryToken, TimePoint, TokenCache, TokenSource, View, async_trait,
};
use tokio::runtime::{Builder, Runtime};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A hit that finds what it noted before, in the same tick. A tenth above what it takes.
const NOTED: u64 = 182;

/// The first one in a tick, which looks at the time.
const JUDGED: u64 = 620;

type Token = Arc<&'static str>;

/// A cache in some state. What is left of it keeps that state alive.
struct Bench {
    cache: TokenCache<&'static str>,
    view: View<&'static str, usize>,
    clock: Still,
    _runtime: Runtime,
}

/// What the source does once it has given its first token.
#[derive(Clone, Copy)]
enum Then {
    Hangs,
    Fails,
}

struct Source(Then, AtomicU64);

#[async_trait]
impl TokenSource for Source {
    type Token = &'static str;

    async fn fetch(&self) -> Result<TemporaryToken<&'static str>, BoxError> {
        match (self.1.fetch_add(1, Ordering::Relaxed), self.0) {
            (0, _) => Ok(TemporaryToken::expires_in("a", HOUR)),
            (_, Then::Hangs) => std::future::pending().await,
            (_, Then::Fails) => Err("down".into()),
        }
    }
}

/// A clock that moves when it is told to, in seconds.
#[derive(Clone, Debug, Default)]
struct Still(Arc<AtomicU64>);

impl Clock for Still {
    fn now(&self) -> TimePoint {
        let now = Duration::from_secs(self.0.load(Ordering::Relaxed));
        TimePoint::new(now, SystemTime::UNIX_EPOCH + now)
    }

    fn tick(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A cache whose token has `left` of its hour.
fn with(left: Duration, then: Then) -> Box<Bench> {
    let clock = Still::default();
    let cache = TokenCache::builder(Source(then, AtomicU64::new(0))).jitter(0.0).clock(clock.clone()).build();
    let runtime = Builder::new_current_thread().build().unwrap();
    let view = cache.view(|token| token.len());
    runtime.block_on(async {
        view.get().await.unwrap();
        clock.0.store((HOUR - left).as_secs(), Ordering::Relaxed);
        // The first decides, the second finds what was decided, and notes it.
        for _ in 0..3 {
            let _ = cache.get().now_or_never();
            let _ = view.get().now_or_never();
            tokio::task::yield_now().await;
        }
    });
    Box::new(Bench { cache, view, clock, _runtime: runtime })
}

fn fresh() -> Box<Bench> {
    expect(with(HOUR, Then::Fails), Freshness::Fresh, false)
}

fn near_expiry_in_flight() -> Box<Bench> {
    expect(with(4 * MINUTE, Then::Hangs), Freshness::NearExpiry, true)
}

fn near_expiry_in_backoff() -> Box<Bench> {
    expect(with(4 * MINUTE, Then::Fails), Freshness::NearExpiry, false)
}

fn too_short_in_backoff() -> Box<Bench> {
    expect(with(MINUTE / 2, Then::Fails), Freshness::TooShort, false)
}

fn next_tick() -> Box<Bench> {
    let bench = fresh();
    bench.clock.0.fetch_add(1, Ordering::Relaxed);
    bench
}

fn expect(bench: Box<Bench>, freshness: Freshness, refreshing: bool) -> Box<Bench> {
    let status = bench.cache.status();
    assert!(status.freshness == freshness && status.refreshing == refreshing, "{status:?}");
    bench
}

#[library_benchmark]
#[bench::fresh(fresh())]
#[bench::near_expiry_in_flight(near_expiry_in_flight())]
#[bench::near_expiry_in_backoff(near_expiry_in_backoff())]
#[bench::too_short_in_backoff(too_short_in_backoff())]
fn get(bench: Box<Bench>) -> (Token, Box<Bench>) {
    (black_box(&bench.cache).get().now_or_never().unwrap().unwrap(), bench)
}

#[library_benchmark]
#[bench::fresh(fresh())]
#[bench::near_expiry_in_flight(near_expiry_in_flight())]
fn view(bench: Box<Bench>) -> (Arc<usize>, Box<Bench>) {
    (black_box(&bench.view).get().now_or_never().unwrap().unwrap(), bench)
}

#[library_benchmark]
#[bench::next_tick(next_tick())]
fn get_judged(bench: Box<Bench>) -> (Token, Box<Bench>) {
    (black_box(&bench.cache).get().now_or_never().unwrap().unwrap(), bench)
}

library_benchmark_group!(
    name = noted;
    config = budget(NOTED);
    benchmarks = get, view
);

library_benchmark_group!(
    name = judged;
    config = budget(JUDGED);
    benchmarks = get_judged
);

fn budget(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

main!(library_benchmark_groups = noted, judged);
