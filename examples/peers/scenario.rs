//! [`Scenario`]: a situation in which every cache is put, and the part of its outcome that the table shows.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::callers::{CALL_TIMEOUT, Callers};
use crate::format::format_ns;
use crate::outcome::{CallResult, Outcome};
use crate::peer::Peer;
use crate::source::{Behavior, HOUR, ScriptedSource};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scenario {
    ColdStart,
    ColdStartSourceDown,
    NearExpirySlowSource,
    NearExpirySourceDown,
    NearExpirySourceDownSequential,
    FirstCallerCancelled,
    SourcePanics,
    ShortLifetime,
    ExpiredTokens,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::ColdStart,
        Self::ColdStartSourceDown,
        Self::NearExpirySlowSource,
        Self::NearExpirySourceDown,
        Self::NearExpirySourceDownSequential,
        Self::FirstCallerCancelled,
        Self::SourcePanics,
        Self::ShortLifetime,
        Self::ExpiredTokens,
    ];

    /// A short label, unique among the scenarios.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::ColdStart => "A",
            Self::ColdStartSourceDown => "B",
            Self::NearExpirySlowSource => "C",
            Self::NearExpirySourceDown => "D",
            Self::NearExpirySourceDownSequential => "D2",
            Self::FirstCallerCancelled => "E",
            Self::SourcePanics => "F",
            Self::ShortLifetime => "G",
            Self::ExpiredTokens => "H",
        }
    }

    /// The situation, and after the colon what the table shows.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::ColdStart => "cold start, 100 callers: source calls",
            Self::ColdStartSourceDown => "cold start, source down, 100 callers: source calls, slowest caller",
            Self::NearExpirySlowSource => "5 s left, source takes 500 ms, 100 callers: slowest caller",
            Self::NearExpirySourceDown => "5 s left, source down, 100 callers: source calls, errors, slowest caller",
            Self::NearExpirySourceDownSequential => {
                "5 s left, source down, 50 callers 20 ms apart: source calls, errors"
            }
            Self::FirstCallerCancelled => {
                "cold start, first caller cancelled during the fetch: source calls, results of the other 10"
            }
            Self::SourcePanics => "cold start, source panics once, 10 callers: source calls, results, time to recover",
            Self::ShortLifetime => "tokens live for 5 s, 50 callers 20 ms apart: source calls",
            Self::ExpiredTokens => "source returns expired tokens, 20 sequential callers: source calls, results",
        }
    }

    /// Whether the table shows times in microseconds. Such a scenario runs for one cache at a time.
    pub(crate) const fn needs_idle_machine(self) -> bool {
        matches!(self, Self::NearExpirySlowSource | Self::NearExpirySourceDown)
    }

    pub(crate) async fn run(self, peer: &dyn Peer) -> anyhow::Result<Outcome> {
        match self {
            Self::ColdStart => {
                let source = ScriptedSource::new(SOURCE_DELAY, Behavior::Issue(HOUR));
                Ok(Callers::new(peer, source)?.concurrent(100).await)
            }
            Self::ColdStartSourceDown => {
                let source = ScriptedSource::new(SOURCE_DELAY, Behavior::Fail);
                Ok(Callers::new(peer, source)?.concurrent(100).await)
            }
            Self::NearExpirySlowSource => near_expiry_concurrent(peer, SLOW_DELAY, Behavior::Issue(HOUR)).await,
            Self::NearExpirySourceDown => near_expiry_concurrent(peer, SHORT_DELAY, Behavior::Fail).await,
            Self::NearExpirySourceDownSequential => {
                let callers = near_expiry(peer, SHORT_DELAY, Behavior::Fail).await?;
                Ok(callers.sequential(50, CALL_INTERVAL, CALL_TIMEOUT).await)
            }
            Self::FirstCallerCancelled => first_caller_cancelled(peer).await,
            Self::SourcePanics => source_panics(peer).await,
            Self::ShortLifetime => {
                let source = ScriptedSource::new(SOURCE_DELAY, Behavior::Issue(Duration::from_secs(5)));
                Ok(Callers::new(peer, source)?.sequential(50, CALL_INTERVAL, CALL_TIMEOUT).await)
            }
            Self::ExpiredTokens => {
                let source = ScriptedSource::new(SOURCE_DELAY, Behavior::IssueExpired);
                // google-cloud-auth retries after 10 s, which no caller should wait for.
                Ok(Callers::new(peer, source)?.sequential(20, Duration::ZERO, 10 * SOURCE_DELAY).await)
            }
        }
    }

    /// The table cell for `outcome`.
    pub(crate) fn cell(self, outcome: &Outcome) -> String {
        let calls = outcome.calls;
        let slowest = format_duration(outcome.slowest);
        let results = outcome.results();
        match self {
            Self::ColdStart | Self::ShortLifetime if outcome.all_ok() => calls.to_string(),
            Self::ColdStart | Self::FirstCallerCancelled | Self::ShortLifetime | Self::ExpiredTokens => {
                format!("{calls}; {results}")
            }
            Self::ColdStartSourceDown if calls == 1 => format!("1, {slowest}, error shared"),
            Self::ColdStartSourceDown => format!("{calls}, {slowest}"),
            Self::NearExpirySlowSource if calls > 1 => format!("{slowest}, {calls} calls"),
            Self::NearExpirySlowSource => slowest,
            Self::NearExpirySourceDown => format!("{calls}, {}, {slowest}", outcome.errors),
            Self::NearExpirySourceDownSequential => format!("{calls}, {}", outcome.errors),
            Self::SourcePanics => {
                let recovered = outcome.recovered_after.map_or_else(|| "never".to_owned(), format_duration);
                format!("{calls}; {results}; {recovered}")
            }
        }
    }
}

/// A cache that stores a token with 5 s left. Further source calls take `delay` and answer with `behavior`.
async fn near_expiry(peer: &dyn Peer, delay: Duration, behavior: Behavior) -> anyhow::Result<Callers> {
    // Exceeds the minimum refresh interval of every cache here.
    let pause = Duration::from_millis(1100);
    let source = ScriptedSource::new(SHORT_DELAY, Behavior::Issue(Duration::from_secs(5) + pause));
    let callers = Callers::new(peer, source)?;
    callers.concurrent(1).await;
    callers.source.set_behavior(delay, behavior);
    sleep(pause).await;
    Ok(callers)
}

async fn near_expiry_concurrent(peer: &dyn Peer, delay: Duration, behavior: Behavior) -> anyhow::Result<Outcome> {
    let callers = near_expiry(peer, delay, behavior).await?;
    let before = callers.source.calls();
    let outcome = callers.concurrent(100).await;
    // A background fetch may not have started yet.
    let start = Instant::now();
    while callers.source.calls() == before && start.elapsed() < Duration::from_secs(1) {
        sleep(SHORT_DELAY).await;
    }
    // Time for a second call, if the cache makes one.
    sleep(SOURCE_DELAY).await;
    Ok(Outcome { calls: callers.source.calls() - before, ..outcome })
}

async fn first_caller_cancelled(peer: &dyn Peer) -> anyhow::Result<Outcome> {
    let callers = Callers::new(peer, ScriptedSource::new(2 * SOURCE_DELAY, Behavior::Issue(HOUR)))?;
    let first = callers.spawn_one();
    sleep(SOURCE_DELAY / 2).await;
    let cancel = async {
        sleep(SOURCE_DELAY / 2).await;
        first.abort();
    };
    let (outcome, ()) = tokio::join!(callers.concurrent(10), cancel);
    Ok(Outcome { calls: callers.source.calls(), ..outcome })
}

async fn source_panics(peer: &dyn Peer) -> anyhow::Result<Outcome> {
    let callers = Callers::new(peer, ScriptedSource::new(SOURCE_DELAY, Behavior::PanicOnce))?;
    let mut outcome = callers.concurrent(10).await;
    let start = Instant::now();
    while outcome.recovered_after.is_none() && start.elapsed() < CALL_TIMEOUT {
        let call = callers.spawn_one().await;
        let has_token = call.is_ok_and(|call| call.result == CallResult::Token);
        outcome.recovered_after = has_token.then(|| start.elapsed());
        sleep(SHORT_DELAY).await;
    }
    Ok(outcome)
}

fn format_duration(duration: Duration) -> String {
    format_ns(duration.as_nanos() as f64)
}

/// How long a source call takes unless the scenario says otherwise.
const SOURCE_DELAY: Duration = Duration::from_millis(50);
const SHORT_DELAY: Duration = Duration::from_millis(20);
const SLOW_DELAY: Duration = Duration::from_millis(500);

/// The pause between sequential calls.
const CALL_INTERVAL: Duration = Duration::from_millis(20);
