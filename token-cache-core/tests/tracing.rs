//! What `tracing` is told. In a process of its own: who listens is decided for a whole process.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache};
use token_cache_testing::{VirtualClock, mock_source};
use tracing_subscriber::fmt::format::FmtSpan;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn p23_tracing_tells_each_change_once_and_an_outage_in_a_few_lines() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_span_events(FmtSpan::NEW);
    tracing::subscriber::set_global_default(subscriber.with_writer(move || writer.clone()).finish()).unwrap();

    let (clock, (mock, mut source)) = (VirtualClock::new(), mock_source());
    let cache = TokenCache::builder(mock).name("vault").max_backoff(SECOND).clock(clock.clone()).build();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get().await }
    });
    source.next_fetch().await.succeed(TemporaryToken::new("a very secret token", clock.after(HOUR)));
    let token = first.await.unwrap().unwrap();
    clock.advance(HOUR - 240 * SECOND);
    for _ in 0..100 {
        cache.get().await.unwrap(); // near expiry: the refresh is behind
        source.next_fetch().await.fail("the issuer is down");
        while cache.status().refreshing {
            tokio::task::yield_now().await;
        }
        clock.advance(SECOND);
    }
    cache.invalidate(&token);

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("token_fetch{cache=\"vault\" reason=NearExpiry}: "), 100, "a span for each fetch: {text}");
    assert_eq!(count("a new token is stored"), 1);
    assert_eq!(count("the token was rejected"), 1);
    // The 1st, 2nd, 4th ... 64th of a hundred failures.
    assert_eq!(count("WARN"), 7);
    assert!(!text.contains("secret token"));
}
