//! [`Budget`]: how long a request may wait before it is retried.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// A fixed part of the request's timeout. A request whose issuer or server hangs would otherwise wait for both, one
/// after the other, before its caller learns what S3 has answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(Duration);

impl Budget {
    /// For requests with this timeout, in the format of object_store's configuration.
    pub(super) fn new(timeout: Option<&str>) -> Self {
        let timeout = timeout.and_then(|timeout| humantime::parse_duration(timeout).ok());
        Self(timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT) / 3)
    }

    pub(super) fn start(self) -> Remaining {
        Remaining { ends: Instant::now() + self.0 }
    }
}

/// What is left of a [`Budget`].
pub(super) struct Remaining {
    ends: Instant,
}

impl Remaining {
    /// `None`: the budget ended first.
    pub(super) async fn limit<F: Future>(&self, future: F) -> Option<F::Output> {
        timeout_at(self.ends, future).await.ok()
    }
}

/// The default of object_store for a request, for requests without a limit.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_a_third_of_the_timeout() {
        for (timeout, seconds) in
            [(None, 10), (Some("30s"), 10), (Some("1m 30s"), 30), (Some("0s"), 10), (Some("?"), 10)]
        {
            assert_eq!(Budget::new(timeout).0, Duration::from_secs(seconds), "{timeout:?}");
        }
    }
}
