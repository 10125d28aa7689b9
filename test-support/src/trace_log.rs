//! [`TraceLog`]: all that a subscriber at `TRACE` gets to see.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::sync::Once;

use tracing::callsite;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// What each crate logs on this thread at `TRACE`, by `tracing` or by `log`, until it is read or dropped.
#[derive(Debug)]
pub struct TraceLog(());

thread_local! {
    /// `None` while nothing is recorded.
    static TEXT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl TraceLog {
    /// Starts to record, instead of any earlier recording of this thread.
    ///
    /// # Panics
    ///
    /// If the process has a global subscriber.
    #[must_use]
    pub fn start() -> Self {
        static INSTALLED: Once = Once::new();
        // For all threads: with a subscriber of one thread, what another thread logs first is never logged, because tracing asks
        // the subscriber of that thread, and remembers the answer (<https://github.com/tokio-rs/tracing/issues/3611>).
        INSTALLED.call_once(|| {
            let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
            subscriber.with_writer(Thread).finish().init();
            callsite::rebuild_interest_cache();
        });
        TEXT.set(Some(Vec::new()));
        Self(())
    }

    /// The crates whose lines show one of the secrets, and all that was logged.
    ///
    /// # Panics
    ///
    /// If the text does not contain `crates`, which must have logged something.
    #[must_use]
    pub fn crates_that_show(self, secrets: &[&str], crates: &[&str]) -> BTreeSet<String> {
        let text = TEXT.take().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for name in crates {
            assert!(text.contains(name), "{name} has logged nothing:\n{text}");
        }
        let (mut target, mut shown) = ("", BTreeSet::new());
        for line in text.lines() {
            // A message may have more lines, without a time.
            if line.starts_with(|c: char| c.is_ascii_digit()) {
                target = target_of(line);
            }
            if secrets.iter().any(|secret| line.contains(secret)) {
                shown.insert(target.split("::").next().unwrap_or_default().to_owned());
            }
        }
        shown
    }
}

/// Of a line `TIME LEVEL SPAN: TARGET: MESSAGE` with any number of spans. The whole line if there is none.
fn target_of(line: &str) -> &str {
    let (_, rest) = line.split_once(' ').unwrap_or_default();
    let (_, rest) = rest.trim_start().split_once(' ').unwrap_or_default();
    let parts = rest.split(": ").map(|part| part.split(['{', ' ']).next().unwrap_or_default());
    parts.filter(|part| part.contains("::") || part.starts_with("token_cache")).last().unwrap_or(line)
}

impl Drop for TraceLog {
    fn drop(&mut self) {
        TEXT.set(None);
    }
}

/// Writes to the recording of the current thread.
struct Thread;

impl io::Write for Thread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.iter_mut().for_each(|text| text.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Thread {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_another_thread_has_logged_first_is_recorded() {
        let log = TraceLog::start();
        let say = || tracing::trace!(target: "token_cache_example", "the canary");
        thread::spawn(say).join().expect("the thread");
        say();
        let crates = log.crates_that_show(&["canary"], &["TRACE"]);
        assert_eq!(crates.into_iter().collect::<Vec<_>>(), ["token_cache_example"]);
    }
}
