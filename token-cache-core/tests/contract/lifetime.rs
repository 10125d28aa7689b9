//! Promises 12 and 14: runtimes that come and go, and what exists before the first caller and after the last handle.

use std::cell::RefCell;
use std::future::pending;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::UNIX_EPOCH;

use futures::FutureExt;
use futures::future::BoxFuture;
use token_cache_core::{Clock, ErrorKind, TimePoint, TokenCache};

use super::*;

#[tokio::test]
async fn p14_nothing_is_fetched_before_the_first_get() {
    let mut harness = Harness::new();
    harness.clock.advance(HOUR);
    harness.source.assert_no_fetch().await;
}

/// <https://github.com/seanmonstar/reqwest/issues/2501>, and in a runtime without timers:
/// <https://github.com/tokio-rs/tokio/issues/3172>
#[test]
fn p14_one_cache_serves_several_runtimes_and_none() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    assert_eq!(harness.get_now(), "a", "outside of any runtime");
    harness.clock.advance(HOUR);
    runtime().block_on(harness.fetch("b", HOUR));
    assert_eq!(harness.get_now(), "b");
}

#[tokio::test]
async fn p14_the_last_handle_aborts_the_fetch() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let mut fetch = harness.source.next_fetch().await;
    get.abort();
    drop(harness.cache);
    fetch.aborted().await;
}

/// A clock that pauses the thread of the watchdogs.
#[derive(Debug)]
struct PausesWatchdogs {
    paused: mpsc::SyncSender<()>,
    resume: Mutex<mpsc::Receiver<()>>,
}

impl Clock for PausesWatchdogs {
    fn now(&self) -> TimePoint {
        TimePoint::new(HOUR, UNIX_EPOCH)
    }

    fn sleep_until(&self, _: Duration) -> BoxFuture<'static, ()> {
        if thread::current().name() == Some("token-cache-timers") {
            let _ = self.paused.send(());
            let _ = self.resume.lock().unwrap().recv();
        }
        pending().boxed()
    }
}

/// A thread that is not scheduled in time must not decide when, and where, the source and the token are dropped.
#[tokio::test]
async fn p14_no_watchdog_is_the_last_handle() {
    let (paused, is_paused) = mpsc::sync_channel(1);
    let (resume, resumed) = mpsc::channel();
    let clock = PausesWatchdogs { paused, resume: Mutex::new(resumed) };
    let cache = TokenCache::builder(test_util::mock_source::<u8>().0).clock(clock).build();
    assert!(cache.get().now_or_never().is_none());
    is_paused.recv().unwrap();
    let weak = cache.downgrade();
    drop(cache);
    let is_alive = weak.upgrade().is_some();
    resume.send(()).unwrap();
    assert!(!is_alive);
}

#[tokio::test]
async fn p14_a_waiting_caller_keeps_the_fetch() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    drop(harness.cache);
    fetch.succeed_for("a", HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "a");
}

#[test]
fn p14_refresh_is_paced_outside_of_a_runtime() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let refresh = || harness.cache.refresh().now_or_never().unwrap();
    assert_eq!(*refresh().unwrap(), "a");
    harness.clock.advance(SECOND);
    assert_eq!(refresh().unwrap_err().kind(), ErrorKind::NoRuntime, "a fetch is allowed");
}

#[test]
fn p05_too_short_is_reported_outside_of_a_runtime() {
    let mut harness = Harness::new();
    runtime().block_on(harness.fetch("a", HOUR));
    let get = harness.cache.get_valid_for(2 * HOUR).now_or_never().unwrap();
    assert_eq!(get.unwrap_err().kind(), ErrorKind::TooShort, "known without another fetch");
}

#[test]
fn p12_outside_of_a_runtime_usable_tokens_are_returned() {
    let mut harness = Harness::new();
    let error = harness.poll_get().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);

    runtime().block_on(harness.fetch("a", HOUR));
    for remaining in [4 * MINUTE, 30 * SECOND, MS] {
        harness.clock.advance(harness.cache.status().remaining.unwrap() - remaining);
        assert_eq!(harness.get_now(), "a", "{remaining:?} remaining");
    }
    harness.clock.advance(MS);
    assert_eq!(harness.poll_get().unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
}

#[test]
fn p12_a_runtime_ending_during_a_fetch_is_noticed() {
    let mut harness = Harness::new();
    let first = runtime();
    first.block_on(async {
        let _get = harness.spawn_get();
        let _fetch = harness.source.next_fetch().await;
    });
    drop(first);
    harness.clock.advance(SECOND);
    assert_eq!(*runtime().block_on(harness.fetch("a", HOUR)), "a");
}

#[test]
fn p12_a_fetch_on_an_ended_runtime_fails() {
    let runtime = runtime();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _inside = handle.enter();
    let harness = Harness::new();
    assert_eq!(harness.poll_get().unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
    let refresh = harness.cache.refresh().now_or_never();
    assert_eq!(refresh.unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
}

/// <https://github.com/tokio-rs/website/issues/573>, <https://github.com/huggingface/hf-hub/issues/182>
#[test]
fn p12_a_runtime_that_is_not_driven_is_noticed() {
    let (idle, driven) = (runtime(), runtime());
    let mut harness = Harness::new();
    // The fetch starts here, and this runtime is not driven any more.
    let _never_answered = idle.block_on(async {
        let _get = harness.spawn_get();
        harness.source.next_fetch().await
    });
    driven.block_on(async {
        harness.clock.advance(10 * SECOND);
        let waits = harness.spawn_get();
        settled().await;
        assert!(!waits.is_finished(), "the fetch has not timed out yet");
        harness.clock.advance(20 * SECOND);
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        harness.clock.advance(2 * SECOND);
        assert_eq!(*harness.fetch("a", HOUR).await, "a");
    });
    assert_eq!(harness.source.fetches(), 2);
}

#[test]
fn p12_a_refresh_that_is_not_driven_is_replaced() {
    let (idle, driven) = (runtime(), runtime());
    let mut harness = Harness::new();
    driven.block_on(harness.fetch("a", 12 * HOUR));
    harness.clock.advance(12 * HOUR - 5 * MINUTE);
    idle.block_on(async { assert_eq!(harness.get_now(), "a") }); // spawns a task that never runs
    driven.block_on(async {
        assert_eq!(harness.get_now(), "a");
        harness.clock.advance(30 * SECOND);
        assert_eq!(harness.get_now(), "a");
        wait_for_watchdog(&harness);
        harness.clock.advance(2 * SECOND);
        assert_eq!(harness.get_now(), "a");
        harness.succeed("b", HOUR).await;
        assert_eq!(harness.get_now(), "b");
    });
}

#[test]
fn p12_no_waiter_exceeds_the_fetch_timeout() {
    let (idle, driven, harness) = (runtime(), runtime(), Harness::new());
    // The task of the fetch is spawned on a runtime that is never driven again.
    idle.block_on(async { assert!(harness.poll_get().is_none()) });
    driven.block_on(async {
        let get = harness.spawn_get();
        settled().await;
        harness.clock.advance(30 * SECOND);
        assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
    });
    drop(idle);
}

#[test]
fn p12_the_configured_runtime_serves_callers_in_none() {
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let mut harness = Harness::with(|builder| builder.runtime(own.handle().clone()));
    let cache = harness.cache.clone();
    let issuer = thread::spawn(move || {
        futures::executor::block_on(harness.source.wait_for_fetch()).succeed_for("a", HOUR);
        harness
    });
    assert_eq!(*futures::executor::block_on(cache.get()).unwrap(), "a");
    issuer.join().unwrap();
}

thread_local! {
    static AT_THREAD_EXIT: RefCell<Option<ReadOnDrop>> = const { RefCell::new(None) };
}

/// Reads the cache in the destructor of a thread-local value.
struct ReadOnDrop {
    cache: TokenCache<Token>,
    results: mpsc::Sender<Option<Outcome>>,
}

impl Drop for ReadOnDrop {
    fn drop(&mut self) {
        // The receiver is dropped only after a failed assertion.
        let _ = self.results.send(self.cache.get().now_or_never());
    }
}

/// Starts a thread that reads the cache while its thread-local values are destroyed, and returns what it read.
fn read_at_thread_exit(cache: &TokenCache<Token>, read_first: bool) -> Option<Outcome> {
    let (results, read) = mpsc::channel();
    let cache = cache.clone();
    let thread = thread::spawn(move || {
        // Thread-local values are destroyed in an order that depends on the first use of each.
        if read_first {
            let _ = cache.get().now_or_never();
        }
        AT_THREAD_EXIT.set(Some(ReadOnDrop { cache: cache.clone(), results }));
        let _ = cache.get().now_or_never();
    });
    thread.join().unwrap();
    read.recv().unwrap()
}

/// <https://github.com/Amanieu/thread_local-rs/issues/74>, <https://github.com/google/tarpc/issues/449>
#[test]
fn p12_reads_work_during_thread_destruction() {
    let mut harness = Harness::new();
    for read_first in [true, false] {
        let outcome = read_at_thread_exit(&harness.cache, read_first);
        assert_eq!(outcome.unwrap().unwrap_err().kind(), ErrorKind::NoRuntime, "an empty cache");
    }
    runtime().block_on(harness.fetch("a", HOUR));
    for read_first in [true, false] {
        let outcome = read_at_thread_exit(&harness.cache, read_first);
        assert_eq!(*outcome.unwrap().unwrap(), "a");
    }
}
