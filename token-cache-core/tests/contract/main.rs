//! The contract of the cache. `pNN_` in the name of a test is the number of the promise that it keeps, as listed in
//! DESIGN.md. All tests run in virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod design;
mod fetching;
mod lifetime;
mod memory;
mod observability;
mod optional;
mod outages;
mod pacing;
mod rejection;
mod secrets;
mod serving;
mod time;
mod undriven;
mod values;
mod views;

use std::sync::Arc;
use std::time::Duration;

use token_cache_core::test_util::{self, VirtualClock, settled};
use token_cache_core::{Error, TemporaryToken};
use tokio::task::JoinHandle;

type Token = &'static str;
type Outcome = Result<Arc<Token>, Error>;
type Harness = test_util::Harness<Token>;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A cache whose token "a" has just been fetched and is valid for `lifetime`.
async fn with_token(lifetime: Duration) -> Harness {
    let mut harness = Harness::new();
    harness.fetch("a", lifetime).await;
    harness
}

/// A cache whose token "a" is valid for another `remaining` of one hour.
async fn with_remaining(remaining: Duration) -> Harness {
    let harness = with_token(HOUR).await;
    harness.clock.advance(HOUR - remaining);
    harness
}

fn spawn_get_valid_for(harness: &Harness, min_remaining: Duration) -> JoinHandle<Outcome> {
    let cache = harness.cache.clone();
    tokio::spawn(async move { cache.get_valid_for(min_remaining).await })
}

fn spawn_refresh(harness: &Harness) -> JoinHandle<Outcome> {
    let cache = harness.cache.clone();
    tokio::spawn(async move { cache.refresh().await })
}

/// Waits in real time until the watchdog has failed a fetch that nobody drives.
fn wait_for_watchdog(harness: &Harness) {
    while harness.cache.status().failures == 0 {
        std::thread::yield_now();
    }
}

/// A single-threaded runtime without timers and sockets. Unlike in `#[tokio::test]`, yielding makes no system call.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
