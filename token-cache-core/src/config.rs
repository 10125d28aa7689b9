//! [`Config`]: the settings of a cache, and the durations that follow from them. Pure.

use std::time::Duration;

/// The time before the expiry at which the refresh in the background starts, by the lifetime of the token.
pub(crate) type ExpiryBuffer = Box<dyn Fn(Duration) -> Duration + Send + Sync>;

pub(crate) struct Config {
    pub(crate) expiry_buffer: ExpiryBuffer,
    pub(crate) min_ttl: Duration,
    pub(crate) min_refresh_interval: Duration,
    pub(crate) max_backoff: Duration,
    pub(crate) fetch_timeout: Duration,
    /// From 0 to 1.
    pub(crate) jitter: f64,
    pub(crate) stale_if_error: Duration,
    /// How long after the last read a cache is kept warm.
    pub(crate) keep_warm: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            expiry_buffer: fixed_buffer(Duration::from_secs(300)),
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

impl Config {
    /// How long before its expiry a token that lives for `lifetime` is refreshed. `jitter_sample` is from 0 to 1.
    pub(crate) fn expiry_buffer(&self, lifetime: Duration, jitter_sample: f64) -> Duration {
        let buffer = (self.expiry_buffer)(lifetime);
        buffer.saturating_add(fraction(buffer, self.jitter * jitter_sample))
    }

    /// The remaining lifetime below which callers wait for a new token.
    pub(crate) fn min_ttl(&self, lifetime: Duration) -> Duration {
        self.min_ttl.min(lifetime / 4)
    }

    /// How long no fetch starts after `failures` consecutive failures.
    ///
    /// `remaining` is the remaining lifetime of the stored token when the last fetch failed: `None` if it never expires, zero
    /// if there is none. The backoff doubles with each failure; `jitter_sample` spreads it over the upper half.
    /// `min_refresh_interval` applies separately.
    pub(crate) fn backoff(&self, failures: u32, remaining: Option<Duration>, jitter_sample: f64) -> Duration {
        let limit = match remaining {
            Some(Duration::ZERO) => self.max_backoff.min(MAX_BACKOFF_WITHOUT_TOKEN),
            Some(_) | None => self.max_backoff,
        };
        let doubled = self.min_refresh_interval.saturating_mul(2_u32.saturating_pow(failures)).min(limit);
        let backoff = doubled / 2 + fraction(doubled / 2, jitter_sample);
        match remaining {
            Some(remaining) if !remaining.is_zero() => backoff.min(remaining / 2),
            Some(_) | None => backoff,
        }
    }
}

/// The same buffer for every token, but at most half of its lifetime.
pub(crate) fn fixed_buffer(buffer: Duration) -> ExpiryBuffer {
    Box::new(move |lifetime| buffer.min(lifetime / 2))
}

/// Every caller gets an error during this time, so it is short: callers should recover soon after the issuer does.
const MAX_BACKOFF_WITHOUT_TOKEN: Duration = Duration::from_secs(5);

/// A `fraction` of `duration`, which is limited to what `mul_f64` can represent.
fn fraction(duration: Duration, fraction: f64) -> Duration {
    const MAX: Duration = Duration::from_secs(u32::MAX as u64);
    duration.min(MAX).mul_f64(fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_buffers_scale_with_the_lifetime() {
        let config = Config::default();
        for (lifetime, buffer, min_ttl) in [(12 * HOUR, 300, 60), (600 * SECOND, 300, 60), (20 * SECOND, 10, 5)] {
            assert_eq!(config.expiry_buffer(lifetime, 0.0), buffer * SECOND, "{lifetime:?}");
            assert_eq!(config.min_ttl(lifetime), min_ttl * SECOND, "{lifetime:?}");
        }
    }

    #[test]
    fn a_buffer_by_lifetime_is_used_as_it_is() {
        let config = Config { expiry_buffer: Box::new(|lifetime| lifetime * 9 / 10), ..Config::default() };
        assert_eq!(config.expiry_buffer(10 * SECOND, 0.0), 9 * SECOND);
    }

    #[test]
    fn jitter_adds_a_fraction_of_the_buffer() {
        let config = Config::default();
        assert_eq!(config.expiry_buffer(HOUR, 0.5), 315 * SECOND);
        assert_eq!(config.expiry_buffer(HOUR, 1.0), 330 * SECOND);
    }

    #[test]
    fn p08_the_backoff_doubles_up_to_its_limit() {
        let config = Config::default();
        let longest = |failures| config.backoff(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 8, 9, 60, u32::MAX].map(longest), [2, 4, 8, 256, 300, 300, 300]);
        assert_eq!(config.backoff(3, None, 0.0), 4 * SECOND, "spread over the upper half");
        assert_eq!(config.backoff(3, None, 0.5), 6 * SECOND, "spread over the upper half");
    }

    #[test]
    fn p08_the_backoff_is_at_most_half_of_the_remaining_lifetime() {
        let config = Config::default();
        assert_eq!(config.backoff(60, Some(10 * SECOND), 1.0), 5 * SECOND);
    }

    #[test]
    fn p08_the_backoff_is_short_without_a_token() {
        let config = Config::default();
        assert_eq!(config.backoff(60, Some(Duration::ZERO), 1.0), 5 * SECOND);
    }

    #[test]
    fn no_setting_overflows() {
        let config = Config {
            expiry_buffer: fixed_buffer(Duration::MAX),
            min_ttl: Duration::MAX,
            min_refresh_interval: Duration::MAX,
            max_backoff: Duration::MAX,
            fetch_timeout: Duration::MAX,
            jitter: 1.0,
            ..Config::default()
        };
        assert!(config.expiry_buffer(Duration::MAX, 1.0) > HOUR);
        assert!(config.backoff(u32::MAX, None, 1.0) > HOUR);
        assert_eq!(config.min_ttl(Duration::MAX), Duration::MAX / 4);
    }
}
