//! Records that are garbled, replayed or forged.

use super::harness::*;

#[tokio::test]
async fn garbage_in_the_record_costs_one_fetch() {
    let fleet = Fleet::new();
    fleet.run(&[fleet.process()], SECOND).await.unwrap();
    let valid = fleet.store.record(NAME);
    let mut garbage = vec![Vec::new(), vec![0], vec![255; 10], vec![1; 1 << 20], b"{\"json\": true}".to_vec()];
    garbage.extend((1..50).map(|n| valid[..valid.len() * n / 50].to_vec()));
    garbage.extend((0..50).map(|n| {
        let mut changed = valid.clone();
        let at = changed.len() * n / 50;
        changed[at] ^= 0x55;
        changed
    }));
    assert!(garbage.len() > 100);
    for (n, record) in garbage.into_iter().enumerate() {
        let calls = fleet.issuer.calls();
        fleet.store.overwrite(record);
        fleet.run(&fleet.processes(3), SECOND * 4).await.unwrap_or_else(|error| panic!("{n}: {error:?}"));
        assert!(fleet.issuer.calls() - calls <= 1, "{n}");
    }
}

#[tokio::test]
async fn a_record_of_another_name_is_garbage() {
    let fleet = Fleet::new();
    let other = fleet.process_named("writer");
    fleet.run(&[other, fleet.process()], SECOND).await.unwrap();
    // Somebody who can write to the store puts it in place of another one.
    fleet.store.overwrite(fleet.store.record("writer"));
    let reader = fleet.process();
    fleet.run(std::slice::from_ref(&reader), SECOND).await.unwrap();
    assert_eq!(reader.token().unwrap(), "token-3");
}

#[tokio::test]
async fn a_lease_cannot_be_forged() {
    let fleet = Fleet::new();
    fleet.issuer.set(Behavior::Hang);
    drop(fleet.process().spawn_get());
    fleet.advance(SECOND).await;
    let mut lease = fleet.store.record(NAME);
    fleet.issuer.set(Behavior::AnswerAfter(SECOND));
    let process = fleet.process();
    let get = process.spawn_get();
    // Again and again another beat: a record has its number in bytes 18 to 21.
    for beat in 100..104 {
        lease[21] = beat;
        fleet.store.overwrite(lease.clone());
        fleet.advance(SECOND).await;
    }
    assert_eq!(get.await.unwrap().unwrap().as_str(), "token-2");
}
