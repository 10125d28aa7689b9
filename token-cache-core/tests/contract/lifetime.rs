//! Promise 14: what exists before the first caller, and after the last.

use super::*;
use token_cache_core::ErrorKind;

#[tokio::test]
async fn p14_nothing_is_fetched_before_the_first_get() {
    let mut bench = Bench::new();
    bench.clock.advance(HOUR);
    bench.source.no_fetch().await;
}

#[test]
fn p14_a_cache_can_be_built_outside_of_a_runtime_and_used_in_several() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut bench = Bench::new();
    runtime().block_on(bench.fetch("a", HOUR));
    assert_eq!(bench.at_once(), "a", "outside of any");
    bench.clock.advance(HOUR);
    runtime().block_on(bench.fetch("b", HOUR));
    assert_eq!(bench.at_once(), "b");
}

#[tokio::test]
async fn p14_a_fetch_that_nobody_can_wait_for_is_aborted() {
    let mut bench = Bench::new();
    let get = bench.get();
    let mut fetch = bench.source.next_fetch().await;
    get.abort();
    drop(bench.cache);
    fetch.aborted().await;
}

#[tokio::test]
async fn p14_a_clone_keeps_the_fetch_alive() {
    let mut bench = Bench::new();
    let get = bench.get();
    let fetch = bench.source.next_fetch().await;
    drop(bench.cache);
    fetch.succeed(TemporaryToken::new("a", bench.clock.after(HOUR)));
    assert_eq!(*get.await.unwrap().unwrap(), "a");
}

#[test]
fn p12_outside_of_a_runtime_a_token_at_hand_is_served_and_a_fetch_is_an_error() {
    let mut bench = Bench::new();
    let error = bench.get_at_once().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);

    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(bench.fetch("a", HOUR));
    for left in [4 * MINUTE, 30 * SECOND, MS] {
        let now = bench.cache.status().remaining.unwrap();
        bench.clock.advance(now - left);
        assert_eq!(bench.at_once(), "a", "{left:?} left");
    }
    bench.clock.advance(MS);
    assert_eq!(bench.get_at_once().unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
}

#[test]
fn p12_a_runtime_that_goes_away_in_the_middle_of_a_fetch_is_noticed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut bench = Bench::new();
    let first = runtime();
    first.block_on(async {
        let _get = bench.get();
        let _fetch = bench.source.next_fetch().await;
    });
    drop(first);
    bench.clock.advance(SECOND);
    assert_eq!(*runtime().block_on(bench.fetch("a", HOUR)), "a");
}

#[test]
fn p12_on_a_runtime_that_is_gone_a_fetch_is_an_error_and_no_loop() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _inside = handle.enter();
    let bench = Bench::new();
    assert_eq!(bench.get_at_once().unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
    let refresh = futures::FutureExt::now_or_never(bench.cache.refresh());
    assert_eq!(refresh.unwrap().unwrap_err().kind(), ErrorKind::NoRuntime);
}
