//! Promises 25 and 26, and what sources and callers do with tokens and errors: times, `store`, wrapped sources.

use std::error::Error as _;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use token_cache_core::{
    BoxError, Clock, ErrorKind, Event, TokenCache, TokenSource, View, async_trait, permanent, retry_after,
};

use super::*;

#[tokio::test]
async fn p25_a_token_comes_with_its_times() {
    let mut harness = with_token(HOUR).await;
    let expires = harness.clock.after(HOUR);
    harness.clock.advance(MINUTE);
    let first = harness.cache.get_with_times().await.unwrap();
    assert_eq!((*first.token, first.generation, first.expires_at), ("a", 1, Some(expires)));
    let refresh = spawn_refresh(&harness);
    harness.succeed("b", 2 * HOUR).await;
    refresh.await.unwrap().unwrap();
    let second = harness.cache.get_with_times().await.unwrap();
    assert_eq!((*second.token, second.generation, second.expires_at), ("b", 2, Some(harness.clock.after(2 * HOUR))));
    assert!(!format!("{second:?}").contains("b\""), "{second:?}");
}

/// <https://github.com/confluentinc/librdkafka/issues/2189>
#[tokio::test]
async fn p26_a_stored_token_reaches_all_who_wait() {
    let mut harness = Harness::new();
    let mut updates = harness.cache.subscribe();
    let waiting: Vec<_> = (0..10).map(|_| harness.spawn_get()).collect();
    let mut fetch = harness.source.next_fetch().await;
    harness.cache.store(TemporaryToken::expires_in("pushed", HOUR)).unwrap();
    for get in waiting {
        assert_eq!(*get.await.unwrap().unwrap(), "pushed");
    }
    assert_eq!(*updates.changed().await.unwrap(), "pushed");
    fetch.aborted().await;
    assert!(harness.log.take().iter().any(|event| matches!(event, Event::Stored { generation: 1, .. })));
    let refresh = spawn_refresh(&harness);
    harness.source.assert_no_fetch().await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "pushed", "within the interval after a success");
}

#[tokio::test]
async fn p26_a_stored_token_ends_an_outage_and_a_rejection() {
    let mut harness = Harness::with(|builder| builder.token_eq(PartialEq::eq));
    let token = harness.fetch("a", HOUR).await;
    harness.cache.invalidate(&token);
    harness.clock.advance(SECOND);
    let get = harness.spawn_get();
    harness.fail().await;
    assert!(get.await.unwrap().is_err());
    harness.cache.store(TemporaryToken::expires_in("a", HOUR)).unwrap();
    assert_eq!(harness.get_now(), "a", "whoever stores it vouches for it");
    assert_eq!(harness.cache.status().failures, 0);
}

#[tokio::test]
async fn p26_an_expired_token_is_not_stored() {
    let harness = with_token(HOUR).await;
    let expired = TemporaryToken::new("b", harness.clock.wall() - 12 * SECOND);
    let error = harness.cache.store(expired).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExpired);
    assert!(error.to_string().contains("12.0s") && error.to_string().contains("clock"), "{error}");
    assert_eq!(harness.get_now(), "a");
}

#[tokio::test]
async fn p24_each_token_is_reported_once() {
    let mut harness = with_token(HOUR).await;
    let mut updates = harness.cache.subscribe();
    harness.clock.advance(SECOND);
    let refresh = spawn_refresh(&harness);
    harness.succeed("b", HOUR).await;
    refresh.await.unwrap().unwrap();
    assert_eq!(*updates.changed().await.unwrap(), "b");
    // Stored between the notification and the read of an earlier one.
    harness.cache.store(TemporaryToken::expires_in("c", HOUR)).unwrap();
    harness.cache.store(TemporaryToken::expires_in("d", HOUR)).unwrap();
    assert_eq!(*updates.changed().await.unwrap(), "d");
    let next = tokio::spawn(async move { updates.changed().await });
    settled().await;
    assert!(!next.is_finished());
}

#[tokio::test]
async fn p21_a_subscriber_keeps_a_cache_warm() {
    let mut harness = Harness::with(|builder| builder.keep_warm(HOUR));
    let mut updates = harness.cache.subscribe();
    harness.succeed("first", HOUR).await;
    assert_eq!(*updates.changed().await.unwrap(), "first");
    for _ in 0..24 * 60 {
        harness.clock.advance(MINUTE);
        if let Some(fetch) = harness.source.try_next_fetch().await {
            fetch.succeed_for("next", HOUR);
            assert_eq!(*updates.changed().await.unwrap(), "next");
        }
    }
    assert!(harness.source.fetches() >= 24);
}

/// A source that wraps another one.
struct Uppercase(Box<dyn TokenSource<Token = String>>);

#[async_trait]
impl TokenSource for Uppercase {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        let token = self.0.fetch().await?;
        assert!(token.expires_at(std::time::UNIX_EPOCH).is_some() && !token.value().is_empty());
        Ok(token.map(|token| token.to_uppercase()))
    }
}

#[tokio::test]
async fn sources_and_clocks_can_be_wrapped() {
    let (source, mut handle) = test_util::mock_source::<String>();
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
    let cache = TokenCache::builder(Uppercase(Box::new(source))).clock(clock).build();
    let get = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    handle.next_fetch().await.succeed_for("token".to_owned(), HOUR);
    assert_eq!(*get.await.unwrap().unwrap(), "TOKEN");
}

#[tokio::test]
async fn views_have_what_caches_have() {
    let mut harness = with_token(HOUR).await;
    let view: View<Token, usize> = harness.cache.view(|token| token.len());
    let text = view.view(|length| format!("length {length}"));
    assert_eq!(*text.get().await.unwrap(), "length 1");
    assert_eq!(*view.get_valid_for(HOUR).await.unwrap(), 1);
    assert_eq!(view.get_valid_for(2 * HOUR).await.unwrap_err().kind(), ErrorKind::TooShort);
    harness.clock.advance(SECOND);
    let rejected = view.get().await.unwrap();
    let replace = tokio::spawn({
        let view = view.clone();
        async move { view.replace(&rejected).await }
    });
    harness.succeed("longer", HOUR).await;
    assert_eq!(*replace.await.unwrap().unwrap(), 6);
    assert_eq!(*text.get().await.unwrap(), "length 6");
}

#[test]
fn handles_are_unwind_safe() {
    fn check<T: UnwindSafe + RefUnwindSafe>() {}
    check::<TokenCache<Token>>();
    check::<View<Token, Token>>();
    check::<token_cache_core::Subscription<Token>>();
}

/// A cache whose source is another cache.
async fn failing_stack(error: BoxError) -> (Error, Error) {
    let mut inner = Harness::with(|builder| builder.name("inner"));
    let source = token_cache_core::source_fn({
        let inner = inner.cache.clone();
        move || {
            let inner = inner.clone();
            async move { inner.get().await.map(|token| TemporaryToken::expires_in(*token, HOUR)) }
        }
    });
    let outer = TokenCache::builder(source).name("outer").clock(inner.clock.clone()).build();
    let get = tokio::spawn({
        let outer = outer.clone();
        async move { outer.get().await.unwrap_err() }
    });
    inner.source.next_fetch().await.fail(error);
    let outer_error = get.await.unwrap();
    let inner_error = inner.poll_get().unwrap().unwrap_err();
    inner.clock.advance(inner_error.retry_after().unwrap() - MS);
    assert!(futures::FutureExt::now_or_never(outer.get()).unwrap().is_err());
    settled().await;
    assert_eq!(inner.source.fetches(), 1);
    (inner_error, outer_error)
}

/// <https://github.com/googleapis/google-cloud-rust/issues/2538>
#[tokio::test]
async fn p13_the_error_of_an_inner_cache_keeps_its_meaning() {
    for (error, kind) in [
        ("down".into(), ErrorKind::Source),
        (permanent("no such role"), ErrorKind::Permanent),
        (retry_after("slow down", 600 * SECOND), ErrorKind::Source),
    ] {
        let (inner, outer) = failing_stack(error).await;
        assert_eq!((outer.kind(), outer.cache_name()), (kind, "inner"));
        assert!(outer.retry_after() >= inner.retry_after(), "{outer}");
        let text = outer.to_string();
        assert!(text.starts_with("inner: ") && text.matches("the token source failed").count() == 1, "{text}");
        assert_eq!(outer.source().unwrap().to_string(), inner.source().unwrap().to_string());
    }
}

#[tokio::test]
async fn p22_text_of_the_source_cannot_forge_a_log_line() {
    for hostile in ["\n", "\r", "\u{1b}[31m", "\u{202e}", "\u{200b}", "\u{0}", "\u{2028}", "\u{9b}", "\u{feff}"] {
        let mut harness = Harness::new();
        let get = harness.spawn_get();
        harness.source.next_fetch().await.fail(format!("first{hostile}2026-01-01 INFO forged"));
        let error = get.await.unwrap().unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(hostile), "{hostile:?}: {text:?}");
            assert!(text.contains("forged"), "{text:?}");
        }
    }
}
