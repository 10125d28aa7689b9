//! An issuer that is down for a while.

use super::*;

/// Tokens of 8 s, as in the `s3` example. The issuer is down for 2.5 s from the moment a refresh is due.
#[tokio::test]
async fn p03_an_outage_shorter_than_the_token_is_invisible() {
    let mut harness = with_token(8 * SECOND).await;
    harness.clock.advance(4 * SECOND);
    let back = harness.clock.after(SECOND * 5 / 2);
    for _ in 0..400 {
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            if harness.clock.wall() < back {
                fetch.fail("the issuer is down");
            } else {
                fetch.succeed_for("b", 8 * SECOND);
            }
            settled().await;
        }
        if *get.await.unwrap().unwrap() == "b" {
            return;
        }
        harness.clock.advance(10 * MS);
    }
    panic!("the cache did not recover before the token expired");
}

#[tokio::test]
async fn p08_the_first_answer_ends_an_outage() {
    let mut harness = with_token(8 * SECOND).await;
    harness.clock.advance(8 * SECOND);
    for _ in 0..20 {
        let get = harness.spawn_get();
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.fail("the issuer is down");
        }
        assert!(get.await.unwrap().is_err());
        harness.clock.advance(SECOND);
    }
    harness.clock.advance(5 * SECOND);
    assert_eq!(*harness.fetch("b", HOUR).await, "b");
    assert_eq!(harness.cache.status().failures, 0);
}
