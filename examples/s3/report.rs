//! [`Report`]: the result of a run.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::history::Session;
use crate::timing::Call;

/// The result of a run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) seconds: u64,
    pub(crate) workers: u16,
    /// Signed requests, except the first one, which checks that the bucket is reachable.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Requests whose credentials S3 rejected.
    pub(crate) rejected: u64,
    /// Sessions that S3 accepted. If the server is not the example's own: sessions that were fetched.
    pub(crate) sessions: u64,
    pub(crate) fetches: u64,
    pub(crate) failed_fetches: u64,
    /// Latency of the first call, which waited for the first session.
    pub(crate) first_get_credential_ns: u64,
    /// Calls that were not ready at their first poll, except the first call.
    pub(crate) waited: u64,
    /// Latency of all calls except the first. Its `max` also excludes the outage, if there was one.
    pub(crate) get_credential_ns: Latency,
    pub(crate) request_ns: Latency,
    pub(crate) outage: Option<Outage>,
    /// Only in the report of a child process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Samples>,
}

/// Latency in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// An outage of the issuer, until the first new session after it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Outage {
    pub(crate) down_ms: u64,
    /// Time from the start of the outage to the first new session after it; `None` if there was none.
    pub(crate) recovered_after_ms: Option<u64>,
    /// Latency of the slowest call during the outage.
    pub(crate) max_ns: u64,
    /// How long that call may wait: 10 % of the session's remaining lifetime. `None` if the session had expired.
    pub(crate) wait_limit_ns: Option<u64>,
}

/// What the parent process needs to report the outage separately, because only the parent knows when it was.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Samples {
    /// The slowest of the calls that started within each 100 ms.
    pub(crate) slowest: Vec<Call>,
    /// All sessions, the oldest first.
    pub(crate) sessions: Vec<Session>,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let (p50, p99) = (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99));
        Self { p50, p99, max: histogram.max() }
    }
}

impl Report {
    /// Whether no request failed and no credentials were rejected.
    pub(crate) const fn is_success(&self) -> bool {
        self.failed == 0 && self.rejected == 0
    }

    /// Moves the calls during an outage from `get_credential_ns.max` to `outage`.
    ///
    /// `since_ms` is the start of the outage in milliseconds since the Unix epoch.
    pub(crate) fn separate_outage(&mut self, since_ms: u64, down_ms: u64) {
        let Some(samples) = self.samples.take() else { return };
        let mut fetched = samples.sessions.iter().map(|session| session.fetched_at_ms);
        let recovered = fetched.find(|at| *at >= since_ms + down_ms);
        let (during, outside): (Vec<Call>, Vec<Call>) = samples.slowest.iter().partition(|call| {
            call.ended_at_ms() >= since_ms && recovered.is_none_or(|recovered| call.started_at_ms <= recovered)
        });
        let slowest = during.iter().max_by_key(|call| call.latency_ns);
        let remaining_ms = |at: u64| {
            let session = samples.sessions.iter().rev().find(|session| session.fetched_at_ms <= at)?;
            session.expires_at_ms.checked_sub(at).filter(|remaining| *remaining > 0)
        };
        self.get_credential_ns.max = outside.iter().map(|call| call.latency_ns).max().unwrap_or_default();
        self.outage = Some(Outage {
            down_ms,
            recovered_after_ms: recovered.map(|at| at - since_ms),
            max_ns: slowest.map_or(0, |call| call.latency_ns),
            wait_limit_ns: slowest.and_then(|call| remaining_ms(call.started_at_ms)).map(|ms| ms * 1_000_000 / 10),
        });
    }

    /// Prints the report, and also as JSON on the last line if `json` is set.
    ///
    /// # Errors
    ///
    /// If the report cannot be encoded as JSON.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        print!("\n{self}");
        if json {
            println!("{}", serde_json::to_string(self)?);
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String, note: String| {
            writeln!(f, "{}", format!("{name:<24}{value:>12}   {note}").trim_end())
        };
        let failure = self.first_failure.as_ref().map(|error| format!("first failure: {error}")).unwrap_or_default();
        row("requests", self.requests.to_string(), format!("{} workers, {} s", self.workers, self.seconds))?;
        row("failed", self.failed.to_string(), failure)?;
        row("rejected by S3", self.rejected.to_string(), String::new())?;
        row("sessions used", self.sessions.to_string(), String::new())?;
        row("fetches", self.fetches.to_string(), format!("{} failed", self.failed_fetches))?;
        row("get_credential waits", self.waited.to_string(), "calls that had to wait".to_owned())?;
        row("get_credential p50", duration(self.get_credential_ns.p50), String::new())?;
        row("get_credential p99", duration(self.get_credential_ns.p99), String::new())?;
        let first = duration(self.first_get_credential_ns);
        let excluded = match &self.outage {
            None => format!("without the first call ({first})"),
            Some(_) => format!("without the first call ({first}) and the outage"),
        };
        row("get_credential max", duration(self.get_credential_ns.max), excluded)?;
        if let Some(outage) = &self.outage {
            let limit = match outage.wait_limit_ns {
                Some(ns) => format!("limit: {}, 10 % of the session's remaining lifetime", duration(ns)),
                None => "the session had expired".to_owned(),
            };
            row("  during the outage", duration(outage.max_ns), limit)?;
            let recovery = match outage.recovered_after_ms {
                Some(ms) => format!("first new session {:.1} s after the outage began", ms as f64 / 1e3),
                None => "no new session afterwards".to_owned(),
            };
            row("issuer outage", duration(outage.down_ms * 1_000_000), recovery)?;
        }
        row("request p99", duration(self.request_ns.p99), String::new())
    }
}

fn duration(nanos: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(nanos))
}
