//! Processes that die while they fetch.

use super::harness::*;

#[tokio::test]
async fn the_next_process_fetches_after_the_lease() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::AnswerAfter(SECOND * 10));
    let holder = fleet.process();
    let get = holder.spawn_get();
    fleet.advance(SECOND).await;
    let others = fleet.processes(50);
    let gets: Vec<_> = others.iter().map(Process::spawn_get).collect();
    fleet.advance(SECOND).await;
    assert_eq!(fleet.issuer.calls(), 1);

    // As after a `kill -9`: its tasks end where they are.
    get.abort();
    drop(holder);
    fleet.issuer.set(Behavior::AnswerAfter(SECOND / 5));
    // A lease of 3 s, the time of the issuer, and half a second until the last process looks again.
    fleet.advance(SECOND * 4).await;
    assert!(gets.iter().all(tokio::task::JoinHandle::is_finished));
    assert_eq!(fleet.issuer.calls(), 2);
}

#[tokio::test]
async fn readers_with_a_token_do_not_notice() {
    let fleet = Fleet::new();
    let mut processes = fleet.processes(10);
    fleet.run(&processes, SECOND).await.unwrap();
    // Due, and renewed by the only one that reads.
    fleet.clock.advance(LIFETIME - MINUTE * 4);
    fleet.issuer.set(Behavior::Hang);
    let holder = processes.remove(0);
    assert_eq!(holder.spawn_get().await.unwrap().unwrap().as_str(), "token-1");
    fleet.advance(SECOND).await;
    assert_eq!(fleet.issuer.calls(), 2);
    drop(holder);

    fleet.issuer.set(Behavior::AnswerAfter(SECOND));
    for _ in 0..10 {
        for process in &processes {
            assert!(process.spawn_get().await.is_ok_and(|token| token.is_ok()), "it returns at once");
        }
        fleet.advance(SECOND).await;
    }
    assert!(processes.iter().all(|process| process.token().unwrap() == "token-3"));
    assert_eq!(fleet.issuer.calls(), 3);
}
