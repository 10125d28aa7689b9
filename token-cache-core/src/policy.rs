//! The settings of a cache, and the spans that follow from them. Pure: no clock, no lock, no task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long before the expiry a refresh in the background begins.
#[derive(Clone)]
pub(crate) enum ExpiryBuffer {
    /// The same for every token, but at most half of its lifetime.
    Fixed(Duration),
    /// What the rule makes of the token's lifetime, as it is.
    ByLifetime(Arc<dyn Fn(Duration) -> Duration + Send + Sync>),
}

impl fmt::Debug for ExpiryBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(span) => span.fmt(f),
            Self::ByLifetime(_) => f.write_str("by lifetime"),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) expiry_buffer: ExpiryBuffer,
    pub(crate) min_ttl: Duration,
    pub(crate) min_refresh_interval: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) fetch_timeout: Duration,
    /// Between 0 and 1.
    pub(crate) jitter: f64,
    pub(crate) stale_if_error: Duration,
    /// For how long after the last read.
    pub(crate) keep_warm: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            expiry_buffer: ExpiryBuffer::Fixed(Duration::from_secs(300)),
            min_ttl: Duration::from_secs(60),
            min_refresh_interval: Duration::from_secs(1),
            max_backoff: Duration::from_secs(300),
            fetch_timeout: Duration::from_secs(30),
            jitter: 0.1,
            stale_if_error: Duration::ZERO,
            keep_warm: None,
        }
    }
}

impl Policy {
    /// How long before its expiry a token that lives for `lifetime` is refreshed. `draw` is between 0 and 1.
    pub(crate) fn expiry_buffer(&self, lifetime: Duration, draw: f64) -> Duration {
        let buffer = match &self.expiry_buffer {
            ExpiryBuffer::Fixed(span) => (*span).min(lifetime / 2),
            ExpiryBuffer::ByLifetime(rule) => rule(lifetime),
        };
        buffer.saturating_add(share(buffer, self.jitter * draw))
    }

    /// How long before its expiry a token that lives for `lifetime` is only handed out where none better can be had.
    pub(crate) fn min_ttl(&self, lifetime: Duration) -> Duration {
        self.min_ttl.min(lifetime / 4)
    }

    /// How long to leave the source alone after `failures` in a row, with a token at hand that lived for another
    /// `remaining` when the last attempt failed (`None`: for ever), or with nothing (`Some(0)`).
    ///
    /// Doubles with every failure, and `draw` spreads it over the upper half. The pacing by `min_refresh_interval` is
    /// not part of it.
    pub(crate) fn backoff(&self, failures: u32, remaining: Option<Duration>, draw: f64) -> Duration {
        let cap = match remaining {
            Some(Duration::ZERO) => self.max_backoff.min(MAX_BACKOFF_WITH_NOTHING_TO_SERVE),
            Some(_) | None => self.max_backoff,
        };
        let doubled = self.min_refresh_interval.saturating_mul(2_u32.saturating_pow(failures)).min(cap);
        let backoff = doubled / 2 + share(doubled / 2, draw);
        match remaining {
            Some(span) if !span.is_zero() => backoff.min(span / 2),
            Some(_) | None => backoff,
        }
    }
}

/// Callers are being refused: the first to come after the issuer is back should not wait for long.
const MAX_BACKOFF_WITH_NOTHING_TO_SERVE: Duration = Duration::from_secs(5);

/// `share` of `span`. Its float arithmetic is kept away from spans that a float cannot hold.
fn share(span: Duration, share: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    span.min(LONGEST).mul_f64(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_buffers_scale_with_the_lifetime() {
        let policy = Policy::default();
        for (lifetime, buffer, min_ttl) in [(12 * HOUR, 300, 60), (600 * SECOND, 300, 60), (20 * SECOND, 10, 5)] {
            assert_eq!(policy.expiry_buffer(lifetime, 0.0), buffer * SECOND, "{lifetime:?}");
            assert_eq!(policy.min_ttl(lifetime), min_ttl * SECOND, "{lifetime:?}");
        }
    }

    #[test]
    fn a_rule_by_lifetime_is_taken_as_it_says() {
        let rule = ExpiryBuffer::ByLifetime(Arc::new(|lifetime| lifetime * 9 / 10));
        let policy = Policy { expiry_buffer: rule, ..Policy::default() };
        assert_eq!(policy.expiry_buffer(10 * SECOND, 0.0), 9 * SECOND);
    }

    #[test]
    fn debug_shows_a_span_and_that_there_is_a_rule() {
        let rule = ExpiryBuffer::ByLifetime(Arc::new(|lifetime| lifetime));
        assert_eq!(format!("{:?} {rule:?}", ExpiryBuffer::Fixed(SECOND)), "1s by lifetime");
    }

    #[test]
    fn jitter_adds_up_to_its_share_of_the_buffer() {
        let policy = Policy::default();
        assert_eq!(policy.expiry_buffer(HOUR, 0.5), 315 * SECOND);
        assert_eq!(policy.expiry_buffer(HOUR, 1.0), 330 * SECOND);
    }

    #[test]
    fn p8_the_backoff_doubles_within_its_cap() {
        let policy = Policy::default();
        let longest = |failures| policy.backoff(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 8, 9, 60, u32::MAX].map(longest), [2, 4, 8, 256, 300, 300, 300]);
        assert_eq!(policy.backoff(3, None, 0.0), 4 * SECOND, "spread over the upper half");
    }

    #[test]
    fn p8_the_backoff_never_sleeps_past_half_of_what_the_token_has_left() {
        let policy = Policy::default();
        assert_eq!(policy.backoff(60, Some(10 * SECOND), 1.0), 5 * SECOND);
    }

    #[test]
    fn p8_with_nothing_to_serve_the_backoff_stays_short() {
        let policy = Policy::default();
        assert_eq!(policy.backoff(60, Some(Duration::ZERO), 1.0), 5 * SECOND);
    }

    #[test]
    fn no_setting_overflows() {
        let policy = Policy {
            expiry_buffer: ExpiryBuffer::Fixed(Duration::MAX),
            min_ttl: Duration::MAX,
            min_refresh_interval: Duration::MAX,
            max_backoff: Duration::MAX,
            fetch_timeout: Duration::MAX,
            jitter: 1.0,
            ..Policy::default()
        };
        assert!(policy.expiry_buffer(Duration::MAX, 1.0) > HOUR);
        assert!(policy.backoff(u32::MAX, None, 1.0) > HOUR);
        assert_eq!(policy.min_ttl(Duration::MAX), Duration::MAX / 4);
    }
}
