//! [`Outcome`]: what the callers of a scenario received, and how often the source was called.

use std::time::Duration;

use serde_json::json;

/// The outcome of one scenario for one cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Source calls that started during the scenario, without its preparation.
    pub(crate) calls: u64,
    /// Callers that received a token that had not expired.
    pub(crate) ok: usize,
    /// Callers that received an expired token.
    pub(crate) expired: usize,
    pub(crate) errors: usize,
    pub(crate) panics: usize,
    /// Callers that gave up waiting.
    pub(crate) timeouts: usize,
    /// Callers whose call was not ready at its first poll.
    pub(crate) waited: usize,
    /// The longest time that a caller waited.
    pub(crate) slowest: Duration,
    /// From the start of the first call to the end of the last.
    pub(crate) elapsed: Duration,
    /// After a panic of the source: the time until a caller received a token again.
    pub(crate) recovered_after: Option<Duration>,
}

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    Token,
    ExpiredToken,
    Error,
    Panic,
    Timeout,
}

/// One call of a caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) result: CallResult,
    /// Whether the call was not ready at its first poll.
    pub(crate) waited: bool,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn add(&mut self, call: &Call) {
        match call.result {
            CallResult::Token => self.ok += 1,
            CallResult::ExpiredToken => self.expired += 1,
            CallResult::Error => self.errors += 1,
            CallResult::Panic => self.panics += 1,
            CallResult::Timeout => self.timeouts += 1,
        }
        self.waited += usize::from(call.waited);
        self.slowest = self.slowest.max(call.took);
    }

    /// Whether every caller received a token that had not expired.
    pub(crate) const fn all_ok(&self) -> bool {
        self.expired + self.errors + self.panics + self.timeouts == 0
    }

    /// The number of calls by result, for example `1 panic, 9 ok`. Results that did not occur are left out.
    pub(crate) fn results(&self) -> String {
        let counts = [
            (self.expired, "expired", "expired"),
            (self.errors, "error", "errors"),
            (self.panics, "panic", "panics"),
            (self.timeouts, "timeout", "timeouts"),
            (self.ok, "ok", "ok"),
        ];
        let results = counts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }));
        results.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "calls": self.calls,
            "ok": self.ok,
            "expired": self.expired,
            "errors": self.errors,
            "panics": self.panics,
            "timeouts": self.timeouts,
            "waited": self.waited,
            "slowest_us": micros(self.slowest),
            "elapsed_us": micros(self.elapsed),
            "recovered_after_us": self.recovered_after.map(micros),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}
