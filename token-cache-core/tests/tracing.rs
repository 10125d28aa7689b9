//! The log lines and spans. These tests have a process of their own, because a subscriber is global.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_cache_core::test_util::Harness;
use token_cache_core::{TemporaryToken, TokenCache, source_fn};
use tracing_subscriber::fmt::format::FmtSpan;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn p23_each_change_is_logged_once() {
    let output = Output::default();
    let writer = output.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_span_events(FmtSpan::NEW);
    tracing::subscriber::set_global_default(subscriber.with_writer(move || writer.clone()).finish()).unwrap();

    let mut harness = Harness::with(|builder| builder.name("vault").max_backoff(SECOND));
    let token = harness.fetch("a very secret token", HOUR).await;
    harness.clock.advance(HOUR - 240 * SECOND);
    for _ in 0..100 {
        let _ = harness.get_now(); // near expiry
        harness.fail().await;
        harness.clock.advance(SECOND);
    }
    harness.cache.invalidate(&token);

    let text = output.text();
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("token_fetch{cache=\"vault\" reason=NearExpiry}: "), 100, "one span per fetch: {text}");
    assert_eq!(count("token refreshed"), 1);
    assert_eq!(count("token rejected"), 1);
    // The failures 1, 2, 4 ... 64 of 100. The others are logged at debug level.
    assert_eq!(count("WARN"), 7);
    assert_eq!(count("token refresh failed"), 7);
    assert!(!text.contains("secret token"));
}

/// As an HTTP client reports it.
#[derive(Debug)]
struct RequestFailed(io::Error);

impl fmt::Display for RequestFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error sending request")
    }
}

impl Error for RequestFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// What is wrong is in the causes of an error.
#[test]
fn p23_the_log_shows_the_causes_of_an_error() {
    let output = Output::default();
    let writer = output.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let refused = || async { Err::<TemporaryToken<u8>, _>(RequestFailed(io::Error::other("Connection refused"))) };
    let cache = TokenCache::builder(source_fn(refused)).build();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(cache.get())).unwrap_err();
    let text = output.text();
    assert!(text.contains("error sending request: Connection refused"), "{text}");
}
