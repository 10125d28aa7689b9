//! An issuer that is down: who has a token keeps it, and `stale_if_error` bridges the time after its expiry.

use std::time::Duration;

use token_cache_testing::{Harness, settled};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hour = Duration::from_secs(3600);
    let mut test = Harness::with(|cache| cache.stale_if_error(hour));
    test.fetch("token", hour).await;

    // For the last five minutes of the token, each refresh fails. Readers notice nothing.
    test.clock.advance(hour - Duration::from_secs(240));
    println!("4 minutes left: {}", test.get_now());
    test.fail().await;

    // It has expired. The source is known to be down, so readers get it at once.
    test.clock.advance(Duration::from_secs(250));
    println!("expired: {}", test.get_now());
    settled().await;
    println!("{:?}", test.cache.status());
}
