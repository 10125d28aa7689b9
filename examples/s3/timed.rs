//! A credential provider that takes the time of another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hdrhistogram::Histogram;
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Result};
use serde::{Deserialize, Serialize};
use token_cache_aws::AwsTokenCache;

/// Takes the time of every call: one a signed request, as object_store asks.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    inner: AwsTokenCache,
    times: Arc<Mutex<Times>>,
}

#[derive(Debug)]
struct Times {
    all: Histogram<u64>,
    slowest: BTreeMap<u64, Call>,
}

/// The slowest call of those that began in the same tenth of a second.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Call {
    /// In milliseconds since 1970.
    pub(crate) began: u64,
    pub(crate) nanos: u64,
}

impl Call {
    pub(crate) const fn ended(&self) -> u64 {
        self.began + self.nanos / 1_000_000
    }
}

impl Timed {
    pub(crate) fn new(inner: AwsTokenCache) -> Self {
        let times = Times { all: nanos(), slowest: BTreeMap::new() };
        Self { inner, times: Arc::new(Mutex::new(times)) }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).all.len()
    }

    /// All calls since the last time this was asked, and the slowest of each tenth of a second.
    pub(crate) fn take(&self) -> (Histogram<u64>, Vec<Call>) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::replace(&mut times.all, nanos());
        (all, std::mem::take(&mut times.slowest).into_values().collect())
    }
}

#[async_trait]
impl CredentialProvider for Timed {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let (began, start) = (unix_millis(), Instant::now());
        let credential = self.inner.get_credential().await;
        let nanos = as_nanos(start.elapsed());
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.all.saturating_record(nanos);
        let slowest = times.slowest.entry(began / 100).or_insert(Call { began, nanos });
        if slowest.nanos < nanos {
            *slowest = Call { began, nanos };
        }
        credential
    }
}

/// Room for anything from a nanosecond to ten minutes, to three digits.
pub(crate) fn nanos() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).unwrap_or_else(|_| unreachable!("bounds that are in order"))
}

pub(crate) fn as_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
