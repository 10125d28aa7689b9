//! A view converts each token once.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_view_converts_each_token_once_for_all_who_ask() {
    let mut bench = Bench::new();
    let converted = Arc::new(AtomicUsize::new(0));
    let view = bench.cache.view({
        let converted = Arc::clone(&converted);
        move |token| {
            converted.fetch_add(1, Ordering::SeqCst);
            format!("Bearer {token}")
        }
    });
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let view = view.clone();
            tokio::spawn(async move { view.get().await.unwrap() })
        })
        .collect();
    bench.answer("a", HOUR).await;
    let first = view.get().await.unwrap();
    assert_eq!(*first, "Bearer a");
    for caller in callers {
        assert!(Arc::ptr_eq(&first, &caller.await.unwrap()));
    }
    assert_eq!(converted.load(Ordering::SeqCst), 1);

    bench.clock.advance(HOUR);
    bench.fetch("b", HOUR).await;
    assert_eq!(*view.get().await.unwrap(), "Bearer b");
    assert_eq!(converted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn p15_a_view_rejects_the_token_behind_what_it_gave_out() {
    let mut bench = Bench::holding(HOUR).await;
    bench.clock.advance(MINUTE);
    let view = bench.cache.view(|token| token.len());
    let old = view.get().await.unwrap();
    view.invalidate(&Arc::new(1));
    assert!(bench.cache.peek().is_some());
    view.invalidate(&old);
    assert!(bench.cache.peek().is_none());
    bench.fetch("bb", HOUR).await;
    assert_eq!(*view.get().await.unwrap(), 2);
    view.invalidate(&old);
    assert!(bench.cache.peek().is_some(), "a late rejection");
}
