//! Measures [`TokenCaches`]: the memory of a key, a hit next to that of a single cache, and 10,000 keys that expire together.
//!
//! ```sh
//! cargo bench -p token-cache-core --features keyed --bench keys
//! ```
//!
//! Takes two minutes. Exits with an error if a figure exceeds its limit.

#![expect(clippy::disallowed_methods, reason = "the benchmark measures real time")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use token_cache_core::{TemporaryToken, TokenCache, TokenCaches, source_fn};

const HOUR: Duration = Duration::from_secs(3600);
const KEYS: usize = 100_000;
const ROUNDS: usize = 41;
const READS: usize = 50_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut exceeded = false;
    // The limit is `None` where the figure depends on the machine.
    let mut figure = |name: &str, measured: f64, at_most: Option<f64>| {
        let is_exceeded = at_most.is_some_and(|at_most| measured > at_most);
        exceeded |= is_exceeded;
        let limit = at_most.map_or_else(String::new, |at_most| format!("  (at most {at_most})"));
        println!("{name:<58} {measured:>10.2}{limit}{}", if is_exceeded { "  EXCEEDED" } else { "" });
    };
    let (one_key, many_keys) = hits().await;
    figure("a hit of one key / a hit of a single cache", one_key, Some(2.5));
    // Each reads memory that is not in the processor's caches.
    figure("a hit of 50,000 keys in turn / a hit of a single cache", many_keys, None);
    figure("bytes of a key, without its name and token", memory().await, Some(2500.0));
    let herd = herd().await;
    figure("calls refused by an issuer of 100 per second", herd.refused, Some(0.0));
    figure("callers of a valid token that waited", herd.waited, Some(0.0));
    figure("fetches of a key", herd.fetches_per_key, Some(1.0));
    figure("most calls in one second", herd.most_calls, None);
    figure("seconds until all of 10,000 keys had new tokens", herd.seconds, None);
    if exceeded { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn caches() -> TokenCaches<String, String> {
    TokenCaches::builder(|tenant: &String| {
        let tenant = tenant.clone();
        source_fn(move || {
            let token = tenant.clone();
            async { Ok::<_, io::Error>(TemporaryToken::expires_in(token, HOUR)) }
        })
    })
    .build()
}

/// The medians of the ratios of rounds that are measured directly after one another.
async fn hits() -> (f64, f64) {
    let single = TokenCache::builder(source_fn(|| async {
        Ok::<_, io::Error>(TemporaryToken::expires_in("token".to_owned(), HOUR))
    }))
    .build();
    single.get().await.unwrap();
    let caches = caches();
    let keys: Vec<_> = (0..KEYS).map(|n| format!("tenant-{n}")).collect();
    for key in &keys {
        caches.get(key).await.unwrap();
    }
    let (mut one_key, mut many_keys) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..READS {
            black_box(single.get().await).unwrap();
        }
        let of_single = start.elapsed();
        let start = Instant::now();
        for _ in 0..READS {
            black_box(caches.get(&keys[0]).await).unwrap();
        }
        one_key.push(start.elapsed().as_secs_f64() / of_single.as_secs_f64());
        let start = Instant::now();
        for key in &keys[..READS] {
            black_box(caches.get(key).await).unwrap();
        }
        many_keys.push(start.elapsed().as_secs_f64() / of_single.as_secs_f64());
    }
    (median(one_key), median(many_keys))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What 100,000 keys have allocated, per key.
async fn memory() -> f64 {
    let keys: Vec<_> = (0..KEYS).map(|n| format!("tenant-{n}")).collect();
    let mut kept = None;
    let allocated = allocation_counter::measure(|| {
        let caches = caches();
        for key in &keys {
            let token = TemporaryToken::expires_in(String::new(), HOUR);
            caches.cache(key).store(token).unwrap();
        }
        kept = Some(caches);
    });
    drop(kept);
    let names: usize = keys.iter().map(String::capacity).sum();
    (allocated.bytes_current as f64 - 2.0 * names as f64) / KEYS as f64
}

struct Herd {
    refused: f64,
    most_calls: f64,
    waited: f64,
    fetches_per_key: f64,
    seconds: f64,
}

/// 10,000 keys whose tokens expire within one minute.
async fn herd() -> Herd {
    const HERD: usize = 10_000;
    let calls = Arc::new(Mutex::new(Vec::with_capacity(HERD)));
    let caches = TokenCaches::builder({
        let calls = Arc::clone(&calls);
        move |_: &usize| {
            let calls = Arc::clone(&calls);
            source_fn(move || {
                calls.lock().unwrap().push(Instant::now());
                async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok::<_, io::Error>(TemporaryToken::expires_in(2, HOUR))
                }
            })
        }
    })
    // The stored tokens are due at once.
    .cache(|cache, _| cache.expiry_buffer_by(|lifetime| if lifetime < HOUR / 2 { lifetime } else { lifetime / 12 }))
    .fetches_per_second(100)
    .build();
    for key in 0..HERD {
        let remaining = Duration::from_secs(240) + Duration::from_secs(60) * key as u32 / HERD as u32;
        caches.cache(&key).store(TemporaryToken::expires_in(1, remaining)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (start, waited) = (Instant::now(), AtomicUsize::new(0));
    let mut current = 0;
    while current < HERD && start.elapsed() < Duration::from_secs(300) {
        current = 0;
        for key in 0..HERD {
            match caches.get(&key).now_or_never() {
                Some(Ok(token)) => current += usize::from(*token == 2),
                _ => _ = waited.fetch_add(1, Ordering::Relaxed),
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let calls = calls.lock().unwrap();
    let in_a_second =
        |from: usize| calls[from..].iter().take_while(|&&call| call - calls[from] < Duration::from_secs(1)).count();
    Herd {
        refused: refused(&calls) as f64,
        most_calls: (0..calls.len()).map(in_a_second).max().unwrap_or(0) as f64,
        waited: waited.load(Ordering::Relaxed) as f64,
        fetches_per_key: calls.len() as f64 / HERD as f64,
        seconds,
    }
}

/// How many calls an issuer refuses that allows 100 per second, and as many at once after a pause.
fn refused(calls: &[Instant]) -> usize {
    let (mut allowed, mut last, mut refused) = (100.0, calls.first().copied(), 0);
    for &call in calls {
        allowed = f64::min(100.0, allowed + last.map_or(0.0, |last| (call - last).as_secs_f64() * 100.0));
        last = Some(call);
        if allowed < 1.0 {
            refused += 1;
        } else {
            allowed -= 1.0;
        }
    }
    refused
}
