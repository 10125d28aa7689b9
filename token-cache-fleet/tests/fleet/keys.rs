//! Keys that differ.

use token_cache_fleet::Keys;

use super::harness::*;

#[tokio::test]
async fn a_process_with_a_wrong_key_costs_a_fetch_per_rotation() {
    let fleet = Fleet::new();
    let wrong = fleet.with_source(fleet.source(Keys::new([9; 32])), fleet.clock.clone());
    let processes: Vec<_> = fleet.processes(20).into_iter().chain([wrong]).collect();
    let rotations = 5;
    fleet.run(&processes, MINUTE * 55 * rotations).await.unwrap();
    assert!(fleet.issuer.calls() <= 2 * (rotations as usize + 1), "{}", fleet.issuer.calls());
    assert_eq!(processes.iter().map(Process::failures).sum::<usize>(), 0);
}

#[tokio::test]
async fn a_key_is_rotated_without_a_fetch() {
    let fleet = Fleet::new();
    let (old, new) = ([7; 32], [8; 32]);
    let start = |keys: Keys| {
        let fleet = fleet.clone();
        async move {
            let process = fleet.with_source(fleet.source(keys), fleet.clock.clone());
            fleet.run(&[process], SECOND).await.unwrap();
        }
    };
    start(Keys::new(old)).await;
    start(Keys::new(old).and_open(new)).await;
    start(Keys::new(new).and_open(old)).await;
    assert_eq!(fleet.issuer.calls(), 1);
    start(Keys::new(new)).await;
    assert_eq!(fleet.issuer.calls(), 2, "the old key was removed before a rotation");
}

#[tokio::test]
async fn nothing_secret_is_in_the_store() {
    let fleet = Fleet::new();
    let process = fleet.process();
    fleet.run(std::slice::from_ref(&process), SECOND).await.unwrap();
    let mut seen = vec![fleet.store.record(NAME)];
    fleet.issuer.set(Behavior::Fail);
    process.cache.invalidate(&process.cache.peek().unwrap());
    let get = process.spawn_get();
    fleet.advance(SECOND * 2).await;
    get.await.unwrap().unwrap_err();
    seen.push(fleet.store.record(NAME));
    for record in seen {
        let text = String::from_utf8_lossy(&record);
        assert!(!text.contains("token-1") && !text.contains("issuer is down") && !text.contains(NAME), "{text}");
        assert!(!record.windows(8).any(|window| window == [7; 8]));
    }
    assert!(!format!("{:?} {:?}", fleet.source(keys()), keys()).contains("7, 7"));
}
