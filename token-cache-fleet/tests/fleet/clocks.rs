//! Hosts whose clocks differ.

use std::time::Duration;

use token_cache_core::Clock;

use super::harness::*;

#[tokio::test]
async fn clocks_that_differ_by_five_minutes_cost_no_fetch() {
    let fleet = Fleet::new();
    let skews = [-300, 0, 0, 0, 300];
    let processes: Vec<_> = skews.iter().map(|skew| fleet.process_with_skew(*skew)).collect();
    fleet.run(&processes, MINUTE * 160).await.unwrap();
    // The clock that is ahead decides when: each 50 minutes. By it, a token of an hour lives for 55.
    assert!(fleet.issuer.calls() <= 4, "{}", fleet.issuer.calls());
    assert_eq!(processes.iter().map(Process::failures).sum::<usize>(), 0);
}

#[tokio::test]
async fn no_process_returns_a_token_past_its_expiry_by_its_own_clock() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::AnswerAfter(Duration::ZERO));
    let expires_at = fleet.clock.now().wall() + LIFETIME;
    fleet.run(&[fleet.process()], SECOND).await.unwrap();
    fleet.issuer.set(Behavior::Fail);
    for ahead in [3300, 3500, 3570, 3610] {
        let process = fleet.process_with_skew(ahead);
        let get = process.spawn_get();
        fleet.advance(SECOND).await;
        let is_valid = fleet.clock.now().wall() + Duration::from_secs(ahead.unsigned_abs()) < expires_at;
        assert_eq!(get.await.unwrap().is_ok(), is_valid, "{ahead}");
    }
}

#[tokio::test]
async fn a_suspended_process_returns_no_old_token() {
    let fleet = Fleet::new();
    let processes = fleet.processes(2);
    fleet.run(&processes, SECOND).await.unwrap();
    fleet.clock.suspend(LIFETIME);
    fleet.run(&processes, SECOND * 5).await.unwrap();
    assert!(processes.iter().all(|process| process.token().unwrap() == "token-2"));
    assert_eq!(fleet.issuer.calls(), 2);
}
