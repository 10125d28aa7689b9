//! A view converts each token once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn p04_a_view_converts_each_token_once() {
    let mut harness = Harness::new();
    let conversions = Arc::new(AtomicUsize::new(0));
    let view = harness.cache.view({
        let conversions = Arc::clone(&conversions);
        move |token| {
            conversions.fetch_add(1, Ordering::SeqCst);
            format!("Bearer {token}")
        }
    });
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let view = view.clone();
            tokio::spawn(async move { view.get().await.unwrap() })
        })
        .collect();
    harness.succeed("a", HOUR).await;
    let first = view.get().await.unwrap();
    assert_eq!(*first, "Bearer a");
    for caller in callers {
        assert!(Arc::ptr_eq(&first, &caller.await.unwrap()));
    }
    assert_eq!(conversions.load(Ordering::SeqCst), 1);

    harness.clock.advance(HOUR);
    harness.fetch("b", HOUR).await;
    assert_eq!(*view.get().await.unwrap(), "Bearer b");
    assert_eq!(conversions.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn p15_a_view_invalidates_the_converted_token() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(MINUTE);
    let view = harness.cache.view(|token| token.len());
    let old = view.get().await.unwrap();
    view.invalidate(&Arc::new(1));
    assert!(harness.cache.peek().is_some(), "an equal value in another `Arc`");
    view.invalidate(&old);
    assert!(harness.cache.peek().is_none());
    harness.fetch("bb", HOUR).await;
    assert_eq!(*view.get().await.unwrap(), 2);
    view.invalidate(&old);
    assert!(harness.cache.peek().is_some(), "a late rejection");
}
