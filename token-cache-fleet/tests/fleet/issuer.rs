//! An issuer that is slow, down or throttles.

use std::time::Duration;

use token_cache_core::Clock;

use super::harness::*;

#[tokio::test]
async fn an_issuer_slower_than_the_lease_is_asked_once() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::AnswerAfter(SECOND * 20));
    let processes = fleet.processes(50);
    fleet.run(&processes, SECOND).await.unwrap();
    assert_eq!(fleet.issuer.calls(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_once_in_a_pause() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::Fail);
    let processes = fleet.processes(100);
    let mut shared = 0;
    for _ in 0..60 {
        let gets: Vec<_> = processes.iter().map(Process::spawn_get).collect();
        fleet.advance(SECOND).await;
        for get in gets.into_iter().filter(|get| get.is_finished()) {
            let error = format!("{:?}", get.await.unwrap().unwrap_err());
            assert!(error.contains("the issuer is down"), "{error}");
            shared += usize::from(error.contains("another process"));
        }
    }
    assert!(fleet.issuer.calls() <= 30, "{} in a minute", fleet.issuer.calls());
    assert!(shared > 100, "{shared}");

    fleet.issuer.set(Behavior::AnswerAfter(SECOND));
    let before = fleet.issuer.calls();
    for _ in 0..20 {
        processes.iter().for_each(|process| drop(process.spawn_get()));
        fleet.advance(SECOND).await;
    }
    assert!(processes.iter().all(|process| process.token().is_some()), "all recover");
    assert_eq!(fleet.issuer.calls() - before, 1);
}

#[tokio::test]
async fn a_process_with_a_token_notices_nothing_of_an_outage() {
    let fleet = Fleet::new();
    let processes = fleet.processes(20);
    fleet.run(&processes, MINUTE * 50).await.unwrap();
    fleet.issuer.set(Behavior::Fail);
    fleet.run(&processes, MINUTE * 6).await.unwrap();
    fleet.issuer.set(Behavior::AnswerAfter(SECOND));
    fleet.run(&processes, MINUTE * 20).await.unwrap();
    assert!(fleet.issuer.calls() <= 2 + 60, "{}", fleet.issuer.calls());
}

#[tokio::test]
async fn the_fleet_leaves_an_issuer_alone_that_asks_for_it() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::RetryAfter(MINUTE * 10));
    let processes = fleet.processes(50);
    for _ in 0..595 {
        processes.iter().for_each(|process| drop(process.spawn_get()));
        fleet.advance(SECOND).await;
    }
    assert_eq!(fleet.issuer.calls(), 1);
}

#[tokio::test]
async fn an_issuer_that_hangs_is_asked_by_one_process_at_a_time() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::Hang);
    let processes = fleet.processes(50);
    for _ in 0..120 {
        processes.iter().for_each(|process| drop(process.spawn_get()));
        fleet.advance(SECOND).await;
    }
    // Each call ends with the holder's fetch_timeout of 30 s.
    assert!(fleet.issuer.calls() <= 6, "{}", fleet.issuer.calls());
}

/// The issuer is down for 30 seconds while a fleet starts. The time from its start to the last first token.
async fn time_to_recover(is_shared: bool) -> Duration {
    let fleet = Fleet::new();
    let start = fleet.clock.now().monotonic();
    fleet.issuer.set(Behavior::Fail);
    let processes: Vec<_> =
        (0..50).map(|_| if is_shared { fleet.process() } else { fleet.process_without_store() }).collect();
    while processes.iter().any(|process| process.token().is_none()) {
        let elapsed = fleet.clock.now().monotonic() - start;
        if elapsed >= SECOND * 30 {
            fleet.issuer.set(Behavior::AnswerAfter(SECOND / 5));
        }
        processes.iter().for_each(|process| drop(process.spawn_get()));
        fleet.advance(SECOND / 4).await;
    }
    fleet.clock.now().monotonic() - start
}

#[tokio::test]
async fn a_fleet_recovers_as_fast_as_without_a_store() {
    let mut times = [Vec::new(), Vec::new()];
    // Each waits for a backoff at random, so one start says little.
    for _ in 0..15 {
        times[0].push(time_to_recover(false).await);
        times[1].push(time_to_recover(true).await);
    }
    let [without, with] = times.map(|mut times| {
        times.sort_unstable();
        times[7]
    });
    println!("recovered {without:?} after the start without a store, {with:?} with one");
    assert!(with.as_secs_f64() <= 1.1 * without.as_secs_f64(), "{with:?}, and {without:?} without a store");
}
