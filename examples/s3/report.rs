//! What is told in the end.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::timed::Call;

/// The outcome of a run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) seconds: u64,
    pub(crate) workers: u16,
    /// Signed requests, without the first.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    pub(crate) rejected: u64,
    pub(crate) sessions: u64,
    /// What the cache asked of its source.
    pub(crate) fetches: u64,
    pub(crate) failed_fetches: u64,
    /// How long the first call had to wait for the first session.
    pub(crate) first_get_credential_ns: u64,
    /// Of all calls but the first; `max` also without those in the outage.
    pub(crate) get_credential_ns: Latency,
    pub(crate) request_ns: Latency,
    pub(crate) outage: Option<Outage>,
    /// What the outcome was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) raw: Option<Raw>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub p50: u64,
    pub p99: u64,
    pub(crate) max: u64,
}

/// The time in which the issuer was down, and until the next session was there.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Outage {
    pub(crate) down_ms: u64,
    pub(crate) recovered_after_ms: Option<u64>,
    /// The slowest call that began in it.
    pub(crate) max_ns: u64,
    /// How long that one might have waited: a tenth of what the session had left. `None`: the session had expired.
    pub(crate) allowed_ns: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Raw {
    pub(crate) slowest: Vec<Call>,
    pub(crate) rotations: Vec<Rotation>,
}

/// A new session.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Rotation {
    /// In milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) expires: u64,
}

impl Latency {
    pub(crate) fn of(times: &Histogram<u64>) -> Self {
        Self { p50: times.value_at_quantile(0.5), p99: times.value_at_quantile(0.99), max: times.max() }
    }
}

impl Report {
    pub(crate) const fn is_good(&self) -> bool {
        self.failed == 0 && self.rejected == 0
    }

    /// Tells the calls in an outage from the others.
    pub(crate) fn set_apart_outage(&mut self, since: u64, down: u64) {
        let Some(raw) = self.raw.take() else { return };
        let recovered = raw.rotations.iter().map(|rotation| rotation.at).find(|at| *at >= since + down);
        let (inside, outside): (Vec<Call>, Vec<Call>) =
            raw.slowest.iter().partition(|call| call.ended() >= since && recovered.is_none_or(|end| call.began <= end));
        let slowest_inside = inside.iter().max_by_key(|call| call.nanos);
        let left_at = |began: u64| {
            let session = raw.rotations.iter().rev().find(|rotation| rotation.at <= began)?;
            session.expires.checked_sub(began).filter(|left| *left > 0)
        };
        self.get_credential_ns.max = outside.iter().map(|call| call.nanos).max().unwrap_or_default();
        self.outage = Some(Outage {
            down_ms: down,
            recovered_after_ms: recovered.map(|at| at - since),
            max_ns: slowest_inside.map_or(0, |call| call.nanos),
            allowed_ns: slowest_inside.and_then(|call| left_at(call.began)).map(|left| left * 1_000_000 / 10),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String, note: String| writeln!(f, "{name:<22}{value:>12}   {note}");
        let failure = self.first_failure.as_ref().map(|text| format!("the first: {text}")).unwrap_or_default();
        row("requests", self.requests.to_string(), format!("{} workers, {} s", self.workers, self.seconds))?;
        row("failed", self.failed.to_string(), failure)?;
        row("rejected by S3", self.rejected.to_string(), String::new())?;
        row("sessions used", self.sessions.to_string(), String::new())?;
        row("fetches", self.fetches.to_string(), format!("{} of them failed", self.failed_fetches))?;
        row("get_credential p50", span(self.get_credential_ns.p50), String::new())?;
        row("get_credential p99", span(self.get_credential_ns.p99), String::new())?;
        let first = span(self.first_get_credential_ns);
        let note = match &self.outage {
            None => format!("after the first, which took {first}"),
            Some(_) => format!("after the first, which took {first}, and outside the outage"),
        };
        row("get_credential max", span(self.get_credential_ns.max), note)?;
        if let Some(outage) = &self.outage {
            let allowed = match outage.allowed_ns {
                Some(nanos) => format!("a tenth of what the session had left: {}", span(nanos)),
                None => "the session had expired".to_owned(),
            };
            let recovered = match outage.recovered_after_ms {
                Some(ms) => format!("next session {:.1} s after its begin", ms as f64 / 1e3),
                None => "no session since".to_owned(),
            };
            let note = format!("issuer down for {:.1} s, {recovered}; {allowed}", outage.down_ms as f64 / 1e3);
            row("    in the outage", span(outage.max_ns), note)?;
        }
        row("request p99", span(self.request_ns.p99), String::new())
    }
}

fn span(nanos: u64) -> String {
    format!("{:.1?}", std::time::Duration::from_nanos(nanos))
}
