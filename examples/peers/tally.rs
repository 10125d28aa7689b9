//! [`Tally`]: what a crowd of callers got, and what the source had to do for it.

use std::fmt;
use std::time::Duration;

use serde_json::json;

/// The outcome of one scenario for one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// What the source was asked for in the scenario, without what led up to it.
    pub(crate) calls: u64,
    /// Callers with a token that works.
    pub(crate) ok: usize,
    /// Callers with a token that does not work any more.
    pub(crate) expired: usize,
    pub(crate) errors: usize,
    pub(crate) panics: usize,
    /// Callers who gave up waiting.
    pub(crate) unanswered: usize,
    /// How long the slowest caller waited.
    pub(crate) slowest: Duration,
    /// From the first caller to the last.
    pub(crate) took: Duration,
    /// After a panic of the source: when a caller got a token again.
    pub(crate) works_again: Option<Duration>,
}

/// What one caller got.
pub(crate) enum Got {
    Token,
    Expired,
    Error,
    Panic,
    Nothing,
}

impl Tally {
    pub(crate) fn add(&mut self, got: &Got, waited: Duration) {
        match got {
            Got::Token => self.ok += 1,
            Got::Expired => self.expired += 1,
            Got::Error => self.errors += 1,
            Got::Panic => self.panics += 1,
            Got::Nothing => self.unanswered += 1,
        }
        self.slowest = self.slowest.max(waited);
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "calls": self.calls,
            "ok": self.ok,
            "expired": self.expired,
            "errors": self.errors,
            "panics": self.panics,
            "unanswered": self.unanswered,
            "slowest_us": micros(self.slowest),
            "took_us": micros(self.took),
            "works_again_us": self.works_again.map(micros),
        })
    }

    /// All that callers got, the common case last and left out if it is all there is.
    pub(crate) fn answers(&self) -> String {
        let counts = [
            (self.expired, "expired"),
            (self.errors, "errors"),
            (self.panics, "panics"),
            (self.unanswered, "no answer"),
            (self.ok, "ok"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| match (count, *what) {
            (1, "errors") => "1 error".to_owned(),
            (1, "panics") => "1 panic".to_owned(),
            (_, what) => format!("{count} {what}"),
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// A span to three digits or so.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_micros() {
            us if us < 1000 => write!(f, "{us} µs"),
            us if us < 10_000 => write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3),
            us if us < 1_000_000 => write!(f, "{:.0} ms", self.0.as_secs_f64() * 1e3),
            _ => write!(f, "{:.2} s", self.0.as_secs_f64()),
        }
    }
}

fn micros(span: Duration) -> u64 {
    span.as_micros().try_into().unwrap_or(u64::MAX)
}
