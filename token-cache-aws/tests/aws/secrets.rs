//! Promise 22, for what this crate adds.

use super::*;
use token_cache_testing::aws::Fault;

#[tokio::test]
async fn p22_nothing_that_can_be_printed_holds_a_part_of_the_credentials() {
    let aws = aws_with_sessions_of(60 * SECOND).await;
    let cache = cache_of(&aws, |cache| cache.min_refresh_interval(Duration::ZERO)).await;
    let store = store(&cache);
    round_trip(&store, "object").await.unwrap();
    let held = cache.get().await.unwrap();

    let fixed = SdkSource::new(held.as_ref().clone());
    let mut printed = vec![format!("{cache:?} {cache:#?} {:?} {fixed:?} {store:?}", cache.cache())];
    for fault in [Fault::Garbage, Fault::Expired, Fault::Status(403)] {
        aws.issuer().fail(fault);
        let error = cache.cache().refresh().await.unwrap_err();
        printed.push(format!("{error} {error:?} {:?} {:?}", std::error::Error::source(&error), cache.cache()));
    }
    let secrets = [held.access_key_id(), held.secret_access_key(), held.session_token().unwrap()];
    let long_term = aws.long_term_key();
    for text in printed {
        for secret in secrets.into_iter().chain([long_term.access_key_id(), long_term.secret_access_key()]) {
            assert!(!text.contains(secret) && !text.contains(&secret[..12]), "{text}");
        }
    }
}
