//! Promises 7 and 9 to 13: one fetch, shared by all callers.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use token_cache_core::{BoxError, ErrorKind, Event, FetchReason, permanent};

use super::*;

#[tokio::test]
async fn p07_all_reasons_share_one_fetch() {
    let mut harness = Harness::with(|builder| builder.token_eq(PartialEq::eq));
    let token = harness.fetch("a", HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    assert_eq!(harness.get_now(), "a"); // near expiry
    let fetch = harness.source.next_fetch().await;
    let refresh = spawn_refresh(&harness);
    harness.clock.advance(2 * MINUTE);
    settled().await;
    drop(fetch);
    assert_eq!(refresh.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);

    harness.clock.advance(MINUTE);
    let refresh = spawn_refresh(&harness);
    let fetch = harness.source.next_fetch().await;
    let too_short = harness.spawn_get();
    harness.cache.invalidate(&token);
    let invalidated = harness.spawn_get();
    let valid_for = spawn_get_valid_for(&harness, HOUR / 2);
    harness.source.assert_no_fetch().await;
    fetch.succeed_for("b", HOUR);
    for caller in [refresh, too_short, invalidated, valid_for] {
        assert_eq!(*caller.await.unwrap().unwrap(), "b");
    }
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn p07_a_cold_start_of_100_callers_fetches_once() {
    let mut harness = Harness::new();
    let callers: Vec<_> = (0..100).map(|_| harness.spawn_get()).collect();
    harness.succeed("a", HOUR).await;
    for caller in callers {
        assert_eq!(*caller.await.unwrap().unwrap(), "a");
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p07_each_fetch_has_its_reason() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(HOUR - 4 * MINUTE);
    let _ = harness.get_now();
    harness.succeed("b", HOUR).await;
    harness.clock.advance(HOUR - 30 * SECOND);
    harness.fetch("c", HOUR).await;
    harness.clock.advance(HOUR);
    let d = harness.fetch("d", HOUR).await;
    harness.clock.advance(SECOND);
    harness.cache.invalidate(&d);
    harness.fetch("e", HOUR).await;
    harness.clock.advance(SECOND);
    let refresh = spawn_refresh(&harness);
    harness.succeed("f", HOUR).await;
    refresh.await.unwrap().unwrap();

    let reasons: Vec<_> = harness
        .log
        .take()
        .iter()
        .filter_map(|event| match event {
            Event::FetchStarted { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    use FetchReason::*;
    assert_eq!(reasons, [Empty, NearExpiry, TooShort, Expired, Invalidated, Requested]);
}

#[tokio::test]
async fn p09_dropping_the_first_caller_keeps_the_fetch() {
    let mut harness = Harness::new();
    let first = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    let others: Vec<_> = (0..10).map(|_| harness.spawn_get()).collect();
    settled().await;
    first.abort();
    settled().await;
    fetch.succeed_for("a", HOUR);
    for other in others {
        assert_eq!(*other.await.unwrap().unwrap(), "a");
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p09_dropping_all_callers_keeps_the_fetch() {
    let mut harness = Harness::new();
    let callers: Vec<_> = (0..10).map(|_| harness.spawn_get()).collect();
    let fetch = harness.source.next_fetch().await;
    for caller in &callers {
        caller.abort();
    }
    settled().await;
    fetch.succeed_for("a", HOUR);
    settled().await;
    assert_eq!(harness.get_now(), "a");
}

#[tokio::test]
async fn p09_a_callers_timeout_affects_no_other() {
    let mut harness = Harness::new();
    let waits = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    tokio::time::timeout(Duration::ZERO, harness.cache.get()).await.unwrap_err();
    fetch.succeed_for("a", HOUR);
    assert_eq!(*waits.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn p09_the_fetch_timeout_counts_from_the_start() {
    let mut harness = Harness::new();
    let first = harness.spawn_get();
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(29 * SECOND);
    let late = harness.spawn_get();
    settled().await;
    harness.clock.advance(SECOND);
    for caller in [first, late] {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p09_the_fetch_timeout_excludes_the_pacing() {
    let mut harness = with_token(HOUR).await;
    let token = harness.cache.get().await.unwrap();
    harness.cache.invalidate(&token);
    let get = harness.spawn_get();
    settled().await;
    harness.clock.advance(SECOND);
    let _hangs = harness.source.next_fetch().await;
    harness.clock.advance(30 * SECOND - MS);
    settled().await;
    assert!(!get.is_finished());
    harness.clock.advance(MS);
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn p10_100_callers_share_one_error() {
    let mut harness = Harness::new();
    let callers: Vec<_> = (0..100).map(|_| harness.spawn_get()).collect();
    harness.fail().await;
    for caller in callers {
        // The time has not changed, so no caller has waited for anything but this fetch.
        assert!(caller.is_finished());
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "the issuer is down");
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p10_a_late_caller_joins_an_answered_fetch() {
    for result in [Ok("a"), Err("the issuer is down")] {
        let mut harness = Harness::new();
        let first = harness.spawn_get();
        let fetch = harness.source.next_fetch().await;
        match result {
            Ok(token) => fetch.succeed_for(token, HOUR),
            Err(error) => fetch.fail(error),
        }
        // The source has answered, and the task of the fetch was not polled since.
        let late = harness.spawn_get();
        let (first, late) = (first.await.unwrap(), late.await.unwrap());
        match (first, late) {
            (Ok(first), Ok(late)) => assert!(result.is_ok() && Arc::ptr_eq(&first, &late)),
            (Err(first), Err(late)) => {
                assert!(result.is_err());
                assert_eq!(first.to_string(), late.to_string());
            }
            (first, late) => panic!("two results of one fetch: {first:?}, {late:?}"),
        }
        assert_eq!(harness.source.fetches(), 1);
    }
}

#[tokio::test]
async fn p10_the_backoff_returns_the_last_error_immediately() {
    let mut harness = Harness::with(|builder| builder.jitter_sample(|| 0.5));
    let first = harness.spawn_get();
    harness.fail().await;
    let wait = SECOND * 11 / 10; // in the middle of 0.2 s to 2 s
    assert_eq!(first.await.unwrap().unwrap_err().retry_after(), Some(wait));

    harness.clock.advance(SECOND / 2);
    let error = harness.poll_get().unwrap().unwrap_err();
    assert_eq!(error.retry_after(), Some(wait - SECOND / 2));
    assert_eq!(error.source().unwrap().to_string(), "the issuer is down");
    harness.source.assert_no_fetch().await;

    harness.clock.advance(wait - SECOND / 2);
    assert_eq!(*harness.fetch("a", HOUR).await, "a");
}

#[tokio::test]
async fn p10_refresh_returns_the_token_of_its_fetch() {
    // The token is too short when it arrives, and the next fetch is allowed by then.
    let mut harness = Harness::new();
    let refresh = spawn_refresh(&harness);
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(10 * SECOND);
    fetch.succeed_for("a", 12 * SECOND);
    harness.source.assert_no_fetch().await;
    assert!(refresh.is_finished());
    assert_eq!(*refresh.await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn p11_an_expired_answer_is_a_failure() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    fetch.succeed(TemporaryToken::new("expired", harness.clock.wall()));
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::AlreadyExpired);
    assert_eq!(harness.cache.status().failures, 1);
    assert!(harness.poll_get().unwrap().is_err(), "paced as a failure");
    harness.source.assert_no_fetch().await;
}

#[tokio::test]
async fn p11_a_token_that_expires_during_the_fetch_fails() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    let fetch = harness.source.next_fetch().await;
    harness.clock.advance(5 * SECOND);
    fetch.succeed_for("expired", 5 * SECOND);
    assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::AlreadyExpired);
}

/// As metadata servers do: the same token until shortly before its expiry.
///
/// <https://github.com/dotnet/SqlClient/issues/1495>,
/// <https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/4068>
#[test]
fn p11_a_repeated_token_succeeds_without_a_loop() {
    runtime().block_on(async {
        let mut harness = with_token(HOUR).await;
        let end = harness.clock.after(HOUR);
        let mut fetches = 0;
        while harness.clock.wall() + SECOND < end {
            harness.clock.advance(SECOND);
            let get = harness.spawn_get();
            if let Some(fetch) = harness.source.try_next_fetch().await {
                fetch.succeed(TemporaryToken::new("a", end));
                fetches += 1;
            }
            assert_eq!(*get.await.unwrap().unwrap(), "a");
        }
        assert_eq!(harness.cache.status().failures, 0);
        assert!((1..=12).contains(&fetches), "{fetches} fetches in the last five minutes");
    });
}

#[tokio::test]
async fn p11_a_token_with_a_shorter_lifetime_is_stored() {
    let mut harness = with_token(HOUR).await;
    harness.clock.advance(SECOND);
    let refresh = spawn_refresh(&harness);
    harness.succeed("b", MINUTE).await;
    assert_eq!(*refresh.await.unwrap().unwrap(), "b");
    assert_eq!(harness.get_now(), "b");
}

#[tokio::test]
async fn p12_a_panic_of_the_source_is_an_error() {
    let mut harness = Harness::new();
    let callers: Vec<_> = (0..10).map(|_| harness.spawn_get()).collect();
    harness.source.next_fetch().await.panic();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Panicked);
    }
    harness.clock.advance(2 * SECOND);
    assert_eq!(*harness.fetch("a", HOUR).await, "a");
}

#[tokio::test]
async fn p13_a_permanent_error_never_disables_the_cache() {
    let mut harness = Harness::new();
    let get = harness.spawn_get();
    harness.source.next_fetch().await.fail_permanently("no such role");
    let error = get.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(error.source().unwrap().to_string(), "no such role");
    harness.clock.advance(2 * SECOND);
    assert_eq!(*harness.fetch("a", HOUR).await, "a", "the role was created");
}

/// An error that is not recognized as permanent is retried until the account is locked:
/// <https://github.com/camunda-community-hub/zeebe-client-node-js/issues/244>
#[tokio::test]
async fn p13_a_permanent_mark_is_found_in_the_chain() {
    let revoked = || io::Error::other("the key was revoked");
    let wrapped = |error: BoxError| -> BoxError { Box::new(Context { message: "signing in", source: error }) };
    let errors: [(BoxError, ErrorKind); 6] = [
        (permanent(revoked()), ErrorKind::Permanent),
        (permanent(permanent(revoked())), ErrorKind::Permanent),
        (wrapped(permanent(revoked())), ErrorKind::Permanent),
        (wrapped(wrapped(permanent(permanent(revoked())))), ErrorKind::Permanent),
        (permanent(wrapped(permanent(revoked()))), ErrorKind::Permanent),
        (wrapped(Box::new(revoked())), ErrorKind::Source),
    ];
    for (error, kind) in errors {
        let debug = format!("{error:?}");
        let mut harness = Harness::new();
        let get = harness.spawn_get();
        harness.source.next_fetch().await.fail(error);
        let error = get.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{debug}");
        assert_eq!(format!("{error:?}").matches("the key was revoked").count(), 1, "{error:?}");
    }
}

/// An error with a context, as `anyhow` and hand-written error types have it.
#[derive(Debug)]
struct Context {
    message: &'static str,
    source: BoxError,
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl StdError for Context {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
