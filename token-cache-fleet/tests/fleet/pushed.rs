//! Tokens that a driver sends to its workers.

use token_cache_core::test_util::settled;
use token_cache_core::{ErrorKind, TemporaryToken, TokenCache};
use token_cache_fleet::{Utf8, open, pushed, seal};

use super::harness::*;

#[tokio::test]
async fn a_worker_returns_what_its_driver_sends() {
    let fleet = Fleet::new();
    let (pusher, source) = pushed();
    let worker = TokenCache::builder(source).clock(fleet.clock.clone()).build();
    let get = tokio::spawn({
        let worker = worker.clone();
        async move { worker.get().await }
    });
    settled().await;
    assert!(!get.is_finished());
    let send = |token: &str| {
        let message = seal(&Utf8, &keys(), NAME, &token.to_owned(), Some(fleet.clock.after(LIFETIME))).unwrap();
        assert!(!String::from_utf8_lossy(&message).contains(token));
        pusher.push(open(&Utf8, &keys(), NAME, &message).unwrap());
    };
    send("token-1");
    assert_eq!(*get.await.unwrap().unwrap(), "token-1");

    send("token-2");
    send("token-3");
    fleet.advance(LIFETIME - MINUTE).await;
    assert_eq!(*worker.get().await.unwrap(), "token-3", "only the newest counts");
}

#[tokio::test]
async fn a_driver_that_is_gone_is_named() {
    let fleet = Fleet::new();
    let (pusher, source) = pushed::<String>();
    pusher.push(TemporaryToken::never_expires("last".to_owned()));
    drop(pusher);
    let worker = TokenCache::builder(source).clock(fleet.clock.clone()).build();
    assert_eq!(*worker.get().await.unwrap(), "last");
    fleet.clock.advance(MINUTE);
    let error = worker.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert!(error.to_string().contains("pusher was dropped"), "{error}");
}
