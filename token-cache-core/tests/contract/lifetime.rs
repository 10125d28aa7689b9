//! Promise 14: what exists before the first caller, and after the last.

use super::*;
use token_cache_core::ErrorKind;

#[tokio::test]
async fn p14_nothing_is_fetched_before_the_first_get() {
    let mut bench = Bench::new();
    bench.clock.advance(HOUR);
    bench.source.assert_no_fetch().await;
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

#[tokio::test]
async fn p14_a_thread_that_has_read_a_token_does_not_keep_it() {
    let mut bench = Bench::holding(HOUR).await;
    let token = std::thread::scope(|scope| scope.spawn(|| bench.get_at_once().unwrap().unwrap()).join().unwrap());
    bench.clock.advance(HOUR);
    bench.fetch("b", HOUR).await;
    let observer = Arc::downgrade(&token);
    drop(token);
    assert!(observer.upgrade().is_none());
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

#[test]
fn p12_a_runtime_that_is_no_longer_driven_is_noticed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (idle, driven) = (runtime(), runtime());
    let mut bench = Bench::new();
    // The fetch begins here, and then nobody drives it any more.
    let _never_answered = idle.block_on(async {
        let _get = bench.get();
        bench.source.next_fetch().await
    });
    driven.block_on(async {
        bench.clock.advance(10 * SECOND);
        let waiting = bench.get();
        settled().await;
        assert!(!waiting.is_finished(), "nothing is known yet");
        bench.clock.advance(20 * SECOND);
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut, "nobody outwaits the timeout");
        bench.clock.advance(2 * SECOND);
        assert_eq!(*bench.fetch("a", HOUR).await, "a");
    });
    assert_eq!(bench.source.fetches(), 2);
}

#[test]
fn p12_a_refresh_that_is_no_longer_driven_holds_up_nobody_and_is_replaced() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (idle, driven) = (runtime(), runtime());
    let mut bench = Bench::new();
    driven.block_on(bench.fetch("a", 12 * HOUR));
    bench.clock.advance(12 * HOUR - 5 * MINUTE);
    idle.block_on(async { assert_eq!(bench.at_once(), "a") }); // spawns a task that never runs
    driven.block_on(async {
        assert_eq!(bench.at_once(), "a");
        bench.clock.advance(30 * SECOND);
        assert_eq!(bench.at_once(), "a");
        assert_eq!(bench.cache.status().failures, 1);
        bench.clock.advance(2 * SECOND);
        assert_eq!(bench.at_once(), "a");
        bench.answer("b", HOUR).await;
        assert_eq!(bench.at_once(), "b");
    });
}

#[test]
fn a_runtime_of_its_own_fetches_for_callers_in_none() {
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let mut bench = Bench::with(|builder| builder.runtime(own.handle().clone()));
    let (clock, cache) = (bench.clock.clone(), bench.cache.clone());
    let issuer = std::thread::spawn(move || {
        let token = TemporaryToken::new("a", clock.after(HOUR));
        futures::executor::block_on(bench.source.next_fetch()).succeed(token);
        bench
    });
    assert_eq!(*futures::executor::block_on(cache.get()).unwrap(), "a");
    issuer.join().unwrap();
}

#[test]
fn p12_no_waiter_outwaits_the_fetch_timeout_on_a_runtime_that_is_not_driven() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (idle, driven, bench) = (runtime(), runtime(), Bench::new());
    // The flight departs on a runtime that turns no more, and that lives on.
    idle.block_on(async { assert!(bench.get_at_once().is_none()) });
    driven.block_on(async {
        let get = bench.get();
        settled().await;
        bench.clock.advance(30 * SECOND);
        settled().await;
        assert!(get.is_finished() || bench.source.fetches() > 0, "waits for what will not come");
    });
    drop(idle);
}

#[test]
fn p14_outside_of_a_runtime_too_refresh_within_the_pacing_gives_the_result_of_the_last_attempt() {
    let mut bench = Bench::new();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(bench.fetch("a", HOUR));
    let refresh = || futures::FutureExt::now_or_never(bench.cache.refresh()).unwrap();
    assert_eq!(*refresh().unwrap(), "a");
    bench.clock.advance(SECOND);
    assert_eq!(refresh().unwrap_err().kind(), ErrorKind::NoRuntime, "a fetch is due");
}

#[test]
fn p05_outside_of_a_runtime_too_a_source_that_cannot_give_one_is_named_in_the_error() {
    let mut bench = Bench::new();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(bench.fetch("a", HOUR));
    let get = futures::FutureExt::now_or_never(bench.cache.get_valid_for(2 * HOUR)).unwrap();
    assert_eq!(get.unwrap_err().kind(), ErrorKind::TooShort, "known without asking again");
}
