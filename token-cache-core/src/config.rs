//! [`Config`]: the settings of a cache, and the durations that follow from them. Pure.

use std::sync::Arc;
use std::time::Duration;

use crate::error::DEFAULT_NAME;

/// The time before the expiry at which the refresh in the background starts, by the lifetime of the token.
pub(crate) type ExpiryBuffer = Box<dyn Fn(Duration) -> Duration + Send + Sync>;

pub(crate) struct Config {
    /// In logs, metrics and errors.
    pub(crate) name: Arc<str>,
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
            name: Arc::from(DEFAULT_NAME),
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
    /// How long before its expiry a token is refreshed whose buffer is `buffer`. `jitter_sample` is from 0 to 1.
    pub(crate) fn with_jitter(&self, buffer: Duration, jitter_sample: f64) -> Duration {
        buffer.saturating_add(self.jitter_of(buffer, jitter_sample))
    }

    pub(crate) fn jitter_of(&self, duration: Duration, jitter_sample: f64) -> Duration {
        fraction(duration, self.jitter * jitter_sample)
    }

    /// When a token that was fetched out of turn is first refreshed, from the start of its `lifetime`: at a random point of
    /// its Fresh period. Machines that started together, or that waited together for an issuer, then refresh one by one.
    ///
    /// The period ends at the mean start of NearExpiry. Otherwise more machines than the mean would refresh just after it.
    pub(crate) fn first_refresh(&self, lifetime: Duration, buffer: Duration, jitter_sample: f64) -> Duration {
        fraction(lifetime.saturating_sub(self.with_jitter(buffer, 0.5)), jitter_sample)
    }

    /// The remaining lifetime below which callers wait for a new token.
    pub(crate) fn min_ttl(&self, lifetime: Duration) -> Duration {
        self.min_ttl.min(lifetime / 4)
    }

    /// How long after a failure no fetch starts. `min_refresh_interval` applies separately.
    ///
    /// With a token the backoff is spread over its upper half. Without one it is short, because every caller gets an error,
    /// and widely spread, because many machines wait for the same issuer.
    pub(crate) fn backoff(&self, failures: u32, fallback: Fallback, jitter_sample: f64) -> Duration {
        let limit = self.doubled(failures);
        let upper_half = limit / 2 + fraction(limit / 2, jitter_sample);
        match fallback {
            Fallback::Token { remaining } => upper_half.min(remaining.map_or(Duration::MAX, |remaining| remaining / 2)),
            Fallback::Nothing { outage } => {
                let limit = limit.min((outage / 10).clamp(MIN_LIMIT_WITHOUT_TOKEN, MAX_LIMIT_WITHOUT_TOKEN));
                limit / 10 + fraction(limit - limit / 10, jitter_sample)
            }
            Fallback::PermanentError => upper_half,
        }
    }

    /// How long after a number of consecutive rejections no further one is accepted.
    pub(crate) fn rejection_interval(&self, rejections: u32) -> Duration {
        self.doubled(rejections)
    }

    /// The `min_refresh_interval`, doubled with each of `times`, up to the `max_backoff`. Never zero.
    fn doubled(&self, times: u32) -> Duration {
        let first = self.min_refresh_interval.max(MIN_INTERVAL);
        first.saturating_mul(2_u32.saturating_pow(times)).min(self.max_backoff.max(MIN_INTERVAL))
    }

    /// How long after its last failure a source is known to be down.
    pub(crate) const fn known_down(&self) -> Duration {
        self.max_backoff.saturating_add(self.fetch_timeout)
    }
}

/// What callers get during a backoff.
#[derive(Clone, Copy)]
pub(crate) enum Fallback {
    /// A token that could be returned for `remaining` when the fetch failed. `None`: without an end.
    Token { remaining: Option<Duration> },
    /// The error of a source that has been failing for `outage`.
    Nothing { outage: Duration },
    /// An error that retrying cannot help: trying often locks accounts.
    PermanentError,
}

/// The same buffer for every token, but at most half of its lifetime.
pub(crate) fn fixed_buffer(buffer: Duration) -> ExpiryBuffer {
    Box::new(move |lifetime| buffer.min(lifetime / 2))
}

/// What the backoff doubles if the `min_refresh_interval` is shorter: without an interval there is still a backoff.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// The pacing of the keep-warm task, if the `min_refresh_interval` is shorter. It never fetches without a pause.
pub(crate) const KEEP_WARM_INTERVAL: Duration = Duration::from_millis(100);

/// Callers should recover soon after the issuer does. After a long outage many machines wait for it, so they spread out more.
const MIN_LIMIT_WITHOUT_TOKEN: Duration = Duration::from_secs(5);
const MAX_LIMIT_WITHOUT_TOKEN: Duration = Duration::from_secs(60);

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

    fn buffer(config: &Config, lifetime: Duration, jitter_sample: f64) -> Duration {
        config.with_jitter((config.expiry_buffer)(lifetime), jitter_sample)
    }

    fn with_token(remaining: Duration) -> Fallback {
        Fallback::Token { remaining: Some(remaining) }
    }

    const FOREVER: Fallback = Fallback::Token { remaining: None };

    #[test]
    fn the_buffers_scale_with_the_lifetime() {
        let config = Config::default();
        for (lifetime, expected, min_ttl) in [(12 * HOUR, 300, 60), (600 * SECOND, 300, 60), (20 * SECOND, 10, 5)] {
            assert_eq!(buffer(&config, lifetime, 0.0), expected * SECOND, "{lifetime:?}");
            assert_eq!(config.min_ttl(lifetime), min_ttl * SECOND, "{lifetime:?}");
        }
    }

    #[test]
    fn a_buffer_by_lifetime_is_used_as_it_is() {
        let config = Config { expiry_buffer: Box::new(|lifetime| lifetime * 9 / 10), ..Config::default() };
        assert_eq!(buffer(&config, 10 * SECOND, 0.0), 9 * SECOND);
    }

    #[test]
    fn jitter_adds_a_fraction_of_the_buffer() {
        let config = Config::default();
        assert_eq!(buffer(&config, HOUR, 0.5), 315 * SECOND);
        assert_eq!(buffer(&config, HOUR, 1.0), 330 * SECOND);
    }

    #[test]
    fn the_first_refresh_is_anywhere_before_the_mean_one() {
        let config = Config::default();
        let at = |sample| config.first_refresh(HOUR, 300 * SECOND, sample);
        assert_eq!([0.0, 0.5, 1.0].map(at), [Duration::ZERO, 3285 * SECOND / 2, 3285 * SECOND]);
        assert_eq!(config.first_refresh(SECOND, HOUR, 1.0), Duration::ZERO);
    }

    #[test]
    fn p08_the_backoff_doubles_up_to_its_limit() {
        let config = Config::default();
        let longest = |failures| config.backoff(failures, FOREVER, 1.0).as_secs();
        assert_eq!([1, 2, 3, 8, 9, 60, u32::MAX].map(longest), [2, 4, 8, 256, 300, 300, 300]);
        assert_eq!(config.backoff(3, FOREVER, 0.0), 4 * SECOND, "spread over the upper half");
        assert_eq!(config.backoff(3, FOREVER, 0.5), 6 * SECOND, "spread over the upper half");
    }

    #[test]
    fn p08_the_backoff_is_at_most_half_of_the_remaining_lifetime() {
        assert_eq!(Config::default().backoff(60, with_token(10 * SECOND), 1.0), 5 * SECOND);
    }

    #[test]
    fn p08_without_a_token_the_backoff_is_a_tenth_of_the_outage() {
        let config = Config::default();
        let range = |seconds| {
            let fallback = Fallback::Nothing { outage: seconds * SECOND };
            [0.0, 1.0].map(|sample| config.backoff(60, fallback, sample).as_millis())
        };
        assert_eq!(range(0), [500, 5_000]);
        assert_eq!(range(50), [500, 5_000]);
        assert_eq!(range(200), [2_000, 20_000]);
        assert_eq!(range(36_000), [6_000, 60_000]);
        let first = config.backoff(1, Fallback::Nothing { outage: Duration::ZERO }, 1.0);
        assert_eq!(first, 2 * SECOND, "not longer than with a token");
    }

    #[test]
    fn p13_after_a_permanent_error_the_backoff_is_long() {
        assert_eq!(Config::default().backoff(60, Fallback::PermanentError, 1.0), 300 * SECOND);
    }

    #[test]
    fn p08_no_setting_disables_the_backoff() {
        let zero = Duration::ZERO;
        let config = Config { min_refresh_interval: zero, max_backoff: zero, ..Config::default() };
        assert_eq!(config.backoff(1, FOREVER, 1.0), MIN_INTERVAL);
        assert_eq!(config.backoff(1, Fallback::Nothing { outage: zero }, 0.0), MIN_INTERVAL / 10);
        assert_eq!(config.rejection_interval(1), MIN_INTERVAL);
        let config = Config { min_refresh_interval: zero, ..Config::default() };
        assert_eq!([1, 2].map(|failures| config.backoff(failures, FOREVER, 1.0)), [2 * MIN_INTERVAL, 4 * MIN_INTERVAL]);
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
        assert!(buffer(&config, Duration::MAX, 1.0) > HOUR);
        assert!(config.first_refresh(Duration::MAX, HOUR, 1.0) > HOUR);
        assert!(config.backoff(u32::MAX, FOREVER, 1.0) > HOUR);
        assert_eq!(config.min_ttl(Duration::MAX), Duration::MAX / 4);
        assert_eq!(config.known_down(), Duration::MAX);
    }
}
