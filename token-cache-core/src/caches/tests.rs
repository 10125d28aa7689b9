//! What tests of the public methods cannot reach.

use std::io;

use super::*;
use crate::source::source_fn;
use crate::test_util::VirtualClock;
use crate::token::TemporaryToken;

const HOUR: Duration = Duration::from_secs(3600);

/// A caller may be interrupted between finding its key and getting the cache.
#[tokio::test]
async fn p07_a_key_that_a_caller_has_found_is_not_removed() {
    let clock = VirtualClock::new();
    let source = |key: &u32| {
        let key = *key;
        source_fn(move || async move { Ok::<_, io::Error>(TemporaryToken::expires_in(key, 2 * HOUR)) })
    };
    let caches = TokenCaches::builder(source).max_keys(1).clock(clock.clone()).build();
    caches.get(&0).await.unwrap();
    let found = caches.entry(&0);
    clock.advance(HOUR);
    assert!(caches.shared.remove_idle().is_empty() && caches.shared.remove_least_recent().is_empty());
    drop(found);
    assert_eq!(caches.shared.remove_idle().len(), 1);
}
