//! A store that fails.

use super::harness::*;

/// The time at which a token is due, and the time from then to its expiry.
const UNTIL_DUE: std::time::Duration = std::time::Duration::from_secs(3600 - 300);

#[tokio::test]
async fn a_short_outage_costs_no_fetch() {
    for fault in [Fault::Refuse, Fault::Hang, Fault::LoseAnswers] {
        let fleet = Fleet::new();
        let processes = fleet.processes(20);
        fleet.run(&processes, UNTIL_DUE - MINUTE * 2).await.unwrap();
        fleet.store.set_fault(Some(fault));
        // Until 2 minutes after the token is due: less than half of the buffer.
        fleet.run(&processes, MINUTE * 2).await.unwrap();
        fleet.store.set_fault(None);
        fleet.run(&processes, MINUTE * 30).await.unwrap();
        assert_eq!(fleet.issuer.calls(), 2);
    }
}

#[tokio::test]
async fn a_long_outage_costs_a_fetch_per_process() {
    for fault in [Fault::Refuse, Fault::Hang, Fault::LoseAnswers] {
        let fleet = Fleet::new();
        let processes = fleet.processes(10);
        fleet.run(&processes, UNTIL_DUE - MINUTE * 2).await.unwrap();
        fleet.store.set_fault(Some(fault));
        fleet.run(&processes, MINUTE * 30).await.unwrap();
        // A store that still stores what it reports as failed, is as good as one that works.
        let expected = if matches!(fault, Fault::LoseAnswers) { 2 } else { 11 };
        assert_eq!(fleet.issuer.calls(), expected);
        fleet.store.set_fault(None);
        fleet.run(&processes, MINUTE * 60).await.unwrap();
        // The tokens that were fetched alone become due one after the other: the first renewal serves all.
        assert!(fleet.issuer.calls() <= 13, "{}", fleet.issuer.calls());
    }
}

#[tokio::test]
async fn without_a_store_a_cold_start_works() {
    for fault in [Fault::Refuse, Fault::Hang, Fault::LoseAnswers] {
        let fleet = Fleet::new();
        fleet.store.set_fault(Some(fault));
        let processes = fleet.processes(10);
        fleet.run(&processes, SECOND * 3).await.unwrap();
        assert!(fleet.issuer.calls() <= 10, "{}", fleet.issuer.calls());
    }
}

#[tokio::test]
async fn a_grant_for_one_use_is_not_used_without_a_lease() {
    let fleet = Fleet::new();
    fleet.store.set_fault(Some(Fault::Refuse));
    let process = fleet.with_source(fleet.source(keys()).never_alone(), fleet.clock.clone());
    let error = process.cache.get().await.unwrap_err();
    assert!(format!("{error:?}").contains("connection refused"), "{error:?}");
    assert_eq!(fleet.issuer.calls(), 0);
}

#[tokio::test]
async fn a_lost_record_costs_one_fetch() {
    let fleet = Fleet::new();
    let processes = fleet.processes(20);
    fleet.run(&processes, SECOND * 5).await.unwrap();
    fleet.store.clear();
    fleet.run(&processes, MINUTE * 70).await.unwrap();
    assert_eq!(fleet.issuer.calls(), 2);
}

#[tokio::test]
async fn a_store_that_can_only_be_read_still_gives_a_token() {
    let fleet = Fleet::new();
    fleet.run(&[fleet.process()], SECOND).await.unwrap();
    fleet.clock.advance(UNTIL_DUE);
    fleet.store.set_fault(Some(Fault::LoseAnswers));
    let process = fleet.process();
    let get = process.spawn_get();
    fleet.advance(SECOND).await;
    assert_eq!(*get.await.unwrap().unwrap(), "token-1");
}
