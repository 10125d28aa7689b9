//! One fetch per rotation.

use super::harness::*;

#[tokio::test]
async fn a_cold_start_makes_one_fetch() {
    let fleet = Fleet::new();
    let processes = fleet.processes(200);
    let gets: Vec<_> = processes.iter().map(Process::spawn_get).collect();
    // The issuer's time, and at most 600 ms more for the last one.
    fleet.advance(SECOND * 8 / 10).await;
    for get in gets {
        assert!(get.is_finished());
        assert_eq!(*get.await.unwrap().unwrap(), "token-1");
    }
    assert_eq!(fleet.issuer.calls(), 1);
}

#[tokio::test]
async fn each_rotation_makes_one_fetch() {
    let fleet = Fleet::new();
    let processes = fleet.processes(20);
    // A rotation each 55 minutes.
    fleet.run(&processes, MINUTE * 170).await.unwrap();
    assert_eq!(fleet.issuer.calls(), 4);
    assert_eq!(processes.iter().map(Process::failures).sum::<usize>(), 0);
    assert!(processes.iter().all(|process| process.token().unwrap() == "token-4"));
}

#[tokio::test]
async fn a_hit_touches_no_store() {
    let fleet = Fleet::new();
    let process = fleet.process();
    fleet.run(std::slice::from_ref(&process), SECOND).await.unwrap();
    let operations = fleet.store.operations();
    fleet.run(&[process], MINUTE * 40).await.unwrap();
    assert_eq!(fleet.store.operations(), operations);
}

#[tokio::test]
async fn a_new_process_reads_the_token() {
    let fleet = Fleet::new();
    fleet.run(&[fleet.process()], SECOND).await.unwrap();
    let operations = fleet.store.operations();
    let late = fleet.process();
    fleet.run(std::slice::from_ref(&late), SECOND).await.unwrap();
    assert_eq!((late.token().unwrap(), fleet.store.operations() - operations), ("token-1".to_owned(), 1));
    assert_eq!(fleet.issuer.calls(), 1);
}

#[tokio::test]
async fn a_token_that_all_reject_is_replaced_once() {
    let fleet = Fleet::new();
    let processes = fleet.processes(50);
    fleet.run(&processes, SECOND * 5).await.unwrap();
    for process in &processes {
        process.cache.invalidate(&process.cache.peek().unwrap());
    }
    fleet.run(&processes, SECOND * 5).await.unwrap();
    assert!(processes.iter().all(|process| process.token().unwrap() == "token-2"));
    assert_eq!(fleet.issuer.calls(), 2);
}

#[tokio::test]
async fn two_names_share_no_token() {
    let fleet = Fleet::new();
    let other = fleet.process_named("writer");
    let processes = [fleet.process(), other];
    fleet.run(&processes, SECOND).await.unwrap();
    assert_ne!(processes[0].token(), processes[1].token());
}
