//! Tests of your own code: the test answers each fetch and moves the clock.

use std::time::Duration;

use token_cache_testing::Harness;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut test = Harness::new();

    // The first `get` waits for a fetch, which this task answers: so another task has to call it.
    let get = test.spawn_get();
    test.source.next_fetch().await.succeed_for("token-1", Duration::from_secs(3600));
    assert_eq!(*get.await.expect("no panic").expect("a token"), "token-1");

    // 56 minutes later the token is due. Readers get it, and the cache fetches in the background.
    test.clock.advance(Duration::from_secs(56 * 60));
    assert_eq!(test.get_now(), "token-1");
    test.succeed("token-2", Duration::from_secs(3600)).await;
    assert_eq!(test.get_now(), "token-2");
    println!("{:?}", test.log.take());
}
