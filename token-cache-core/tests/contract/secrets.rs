//! Promise 22: nothing that can be printed contains a token.

use token_cache_core::test_util::{EventLog, mock_source};
use token_cache_core::{TokenCache, source_fn};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI";

#[tokio::test]
async fn p22_nothing_printable_contains_a_token() {
    let (clock, log) = (VirtualClock::new(), EventLog::new());
    let (source, mut handle) = mock_source::<String>();
    let mut printed = vec![format!("{source:?}")];
    let builder = TokenCache::builder(source).clock(clock.clone()).on_event(log.listener());
    printed.push(format!("{builder:?}"));
    let cache = builder.build();
    let view = cache.view(|token| format!("Bearer {token}"));
    let get = tokio::spawn({
        let view = view.clone();
        async move { view.get().await.unwrap() }
    });
    let fetch = handle.next_fetch().await;
    let token = TemporaryToken::new(SECRET.to_owned(), clock.after(HOUR));
    printed.push(format!("{fetch:?} {token:?}"));
    fetch.succeed(token);
    get.await.unwrap();
    printed.push(format!("{cache:?} {view:?} {handle:?} {:#?}", cache.status()));
    let error = cache.get_valid_for(2 * HOUR).await.unwrap_err();
    printed.push(format!("{error} {error:?} {error:#?}"));
    cache.invalidate(&cache.peek().unwrap());
    printed.push(format!("{cache:?} {:?} {:?}", log.take(), clock));
    for text in printed {
        assert!(!text.contains(SECRET) && !text.contains(&SECRET[..4]), "{text}");
    }
}

#[tokio::test]
async fn p22_errors_never_print_the_sources_debug() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "a derived Debug prints it")]
    struct LeakyDebug(&'static str);
    impl std::fmt::Display for LeakyDebug {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("answer 500 of the issuer")
        }
    }
    impl std::error::Error for LeakyDebug {}

    let cache = TokenCache::builder(source_fn(|| async { Err::<TemporaryToken<()>, _>(LeakyDebug(SECRET)) })).build();
    let error = cache.get().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("answer 500 of the issuer") && !text.contains(SECRET), "{text}");
}
