//! An issuer that is down for a while, from both sides.

use super::*;

#[tokio::test]
async fn an_outage_that_ends_before_the_token_does_is_noticed_by_nobody() {
    // Sessions of 8 s, as in the `s3` example: the issuer is down for 2.5 s from the moment a refresh is due.
    let mut bench = Bench::holding(8 * SECOND).await;
    bench.clock.advance(4 * SECOND);
    let back = bench.clock.after(5 * SECOND / 2);
    let mut answered = 1;
    for _ in 0..400 {
        let get = bench.get();
        settled().await;
        if bench.source.fetches() > answered {
            answered += 1;
            if bench.clock.wall() < back {
                bench.fail().await;
            } else {
                bench.answer("b", 8 * SECOND).await;
            }
        }
        if *get.await.unwrap().unwrap() == "b" {
            return;
        }
        bench.clock.advance(10 * MS);
    }
    panic!("the cache has not recovered while the token lived");
}

#[tokio::test]
async fn an_outage_past_the_expiry_ends_with_the_first_answer() {
    let mut bench = Bench::holding(8 * SECOND).await;
    bench.clock.advance(8 * SECOND);
    for _ in 0..20 {
        let get = bench.get();
        settled().await;
        if !get.is_finished() {
            bench.fail().await;
        }
        assert!(get.await.unwrap().is_err());
        bench.clock.advance(SECOND);
    }
    bench.clock.advance(5 * SECOND);
    assert_eq!(*bench.fetch("b", HOUR).await, "b");
    assert_eq!(bench.cache.status().failures, 0);
}
