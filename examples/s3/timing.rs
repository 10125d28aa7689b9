//! [`TimedProvider`]: measures each call to a credential provider.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hdrhistogram::Histogram;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Result};
use serde::{Deserialize, Serialize};
use token_cache_aws::AwsTokenCache;

/// Measures each call of `get_credential`. object_store makes one call per signed request.
#[derive(Clone, Debug)]
pub(crate) struct TimedProvider {
    inner: AwsTokenCache,
    calls: Arc<Mutex<Calls>>,
}

/// Measurements of several calls.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Latency in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Calls that were not ready at their first poll.
    pub(crate) waited: u64,
    /// The slowest of the calls that started within each 100 ms.
    slowest: BTreeMap<u64, Call>,
}

/// One call.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Call {
    /// In milliseconds since the Unix epoch.
    pub(crate) started_at_ms: u64,
    pub(crate) latency_ns: u64,
}

impl TimedProvider {
    pub(crate) fn new(inner: AwsTokenCache) -> Self {
        Self { inner, calls: Arc::new(Mutex::new(Calls::new())) }
    }

    /// The number of calls since the last [`take`](Self::take).
    pub(crate) fn calls(&self) -> u64 {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).latency.len()
    }

    /// Returns the measurements and starts again from zero.
    pub(crate) fn take(&self) -> Calls {
        std::mem::replace(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner), Calls::new())
    }
}

#[async_trait]
impl CredentialProvider for TimedProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let (started_at_ms, start) = (unix_millis(), Instant::now());
        let mut call = self.inner.get_credential();
        let mut polls = 0;
        let credential = poll_fn(|context| {
            polls += 1;
            call.as_mut().poll(context)
        })
        .await;
        let call = Call { started_at_ms, latency_ns: as_nanos(start.elapsed()) };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).record(call, polls > 1);
        credential
    }
}

impl Calls {
    fn new() -> Self {
        Self { latency: latency_histogram(), waited: 0, slowest: BTreeMap::new() }
    }

    fn record(&mut self, call: Call, waited: bool) {
        self.latency.saturating_record(call.latency_ns);
        self.waited += u64::from(waited);
        let slowest = self.slowest.entry(call.started_at_ms / 100).or_insert(call);
        if slowest.latency_ns < call.latency_ns {
            *slowest = call;
        }
    }

    /// The slowest of the calls that started within each 100 ms, in order of time.
    pub(crate) fn into_slowest(self) -> Vec<Call> {
        self.slowest.into_values().collect()
    }
}

impl Call {
    pub(crate) const fn ended_at_ms(&self) -> u64 {
        self.started_at_ms + self.latency_ns / 1_000_000
    }
}

/// An empty histogram from 1 ns to 10 minutes, with three significant digits.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are valid"))
}

/// The duration in nanoseconds, saturating.
pub(crate) fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The duration in milliseconds, saturating.
pub(crate) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The current time in milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    to_unix_millis(SystemTime::now())
}

/// The time in milliseconds since the Unix epoch, or 0 if it is before the epoch.
pub(crate) fn to_unix_millis(time: SystemTime) -> u64 {
    as_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
