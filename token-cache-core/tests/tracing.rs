//! The log lines and spans. This test has a process of its own, because the subscriber is global.

#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_cache_core::test_util::Harness;
use tracing_subscriber::fmt::format::FmtSpan;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

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

    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(count("token_fetch{cache=\"vault\" reason=NearExpiry}: "), 100, "one span per fetch: {text}");
    assert_eq!(count("token refreshed"), 1);
    assert_eq!(count("token rejected"), 1);
    // The failures 1, 2, 4 ... 64 of 100. The others are logged at debug level.
    assert_eq!(count("WARN"), 7);
    assert_eq!(count("token refresh failed"), 7);
    assert!(!text.contains("secret token"));
}
