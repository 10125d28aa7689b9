//! Events as `tracing` events and `metrics`, if these features are enabled.

#[cfg(feature = "metrics")]
use std::time::Duration;

use crate::event::{Event, FetchReason};

/// Records an event of the cache `name`.
pub(crate) fn event(name: &str, event: &Event) {
    #[cfg(feature = "tracing")]
    trace(name, event);
    #[cfg(feature = "metrics")]
    count(name, event);
    let _ = (name, event);
}

/// Runs a fetch inside a span.
pub(crate) fn fetch<F: Future>(name: &str, reason: FetchReason, fetch: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    let fetch = tracing::Instrument::instrument(fetch, tracing::info_span!("token_fetch", cache = name, ?reason));
    let _ = (name, reason);
    fetch
}

#[cfg(feature = "tracing")]
fn trace(name: &str, event: &Event) {
    match event {
        Event::FetchStarted { reason } => tracing::debug!(cache = name, ?reason, "token fetch started"),
        Event::FetchSucceeded { generation, remaining, took } => {
            tracing::info!(cache = name, generation, ?remaining, ?took, "token refreshed");
        }
        // With the chain of causes, which is the `Debug` of an error. Powers of two only: an outage of a day is about 20 warnings.
        Event::FetchFailed { error, failures, took } if failures.is_power_of_two() => {
            tracing::warn!(cache = name, ?error, failures, ?took, "token refresh failed");
        }
        Event::FetchFailed { error, failures, took } => {
            tracing::debug!(cache = name, ?error, failures, ?took, "token refresh failed");
        }
        Event::ServedExpired { generation } => {
            tracing::warn!(cache = name, generation, "serving expired token: source unavailable");
        }
        Event::Stored { generation, remaining } => tracing::info!(cache = name, generation, ?remaining, "token stored"),
        Event::Invalidated { generation } => tracing::info!(cache = name, generation, "token rejected"),
    }
}

#[cfg(feature = "metrics")]
fn count(name: &str, event: &Event) {
    let cache = || name.to_owned();
    let fetched = |outcome: &'static str, took: Duration, failures: u32| {
        metrics::counter!("token_cache_fetches_total", "cache" => cache(), "outcome" => outcome).increment(1);
        metrics::histogram!("token_cache_fetch_seconds", "cache" => cache(), "outcome" => outcome).record(took);
        metrics::gauge!("token_cache_failures", "cache" => cache()).set(f64::from(failures));
    };
    match event {
        Event::FetchStarted { .. } | Event::Stored { .. } => {}
        Event::FetchSucceeded { took, .. } => fetched("ok", *took, 0),
        Event::FetchFailed { failures, took, .. } => fetched("failed", *took, *failures),
        Event::ServedExpired { .. } => {
            metrics::counter!("token_cache_served_expired_total", "cache" => cache()).increment(1);
        }
        Event::Invalidated { .. } => {
            metrics::counter!("token_cache_invalidations_total", "cache" => cache()).increment(1);
        }
    }
}
