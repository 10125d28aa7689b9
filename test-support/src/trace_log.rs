//! [`TraceLog`]: all that a subscriber at `TRACE` gets to see.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// What each crate logs on this thread at `TRACE`, by `tracing` or by `log`, until it is read.
#[derive(Debug)]
pub struct TraceLog {
    text: Text,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl TraceLog {
    /// Starts to record.
    #[must_use]
    pub fn start() -> Self {
        let text = Text::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        Self { _guard: subscriber.with_writer(text.clone()).finish().set_default(), text }
    }

    /// The crates whose lines show one of the secrets, and all that was logged.
    ///
    /// # Panics
    ///
    /// If the text does not contain `crates`, which must have logged something.
    #[must_use]
    pub fn crates_that_show(self, secrets: &[&str], crates: &[&str]) -> BTreeSet<String> {
        let text = String::from_utf8_lossy(&self.text.lock()).into_owned();
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
    let parts = line.split(": ").map(|part| part.split(['{', ' ']).next().unwrap_or_default());
    parts.filter(|part| part.contains("::") || part.starts_with("token_cache")).last().unwrap_or(line)
}

impl Text {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Text {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
