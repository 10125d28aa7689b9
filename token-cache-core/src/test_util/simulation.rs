//! [`SimulatedCache`]: the decisions of a cache without a runtime, so that one program can simulate a fleet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::TokenCache;
use crate::clock::TimePoint;
use crate::config::Config;
use crate::error::Error;
use crate::source::BoxError;
use crate::state::{NewToken, State};
use crate::token::TemporaryToken;

/// A cache with the settings and the rules of a real one, but without a token, clock, source, lock and task.
///
/// The simulation passes the time, the random numbers and the answers of the issuer. A fetch takes no time.
pub struct SimulatedCache {
    state: State<()>,
    config: Arc<Config>,
}

impl SimulatedCache {
    /// Creates an empty cache with the settings of `cache`.
    #[must_use]
    pub fn with_settings_of<T>(cache: &TokenCache<T>, now: TimePoint) -> Self {
        let config = Arc::clone(&cache.inner.setup.config);
        Self { state: State::new(Arc::clone(&config), false, now), config }
    }

    /// Does what a caller of [`TokenCache::get`] causes: nothing, or a fetch. `jitter_sample` is from 0 to 1.
    pub fn get(
        &mut self,
        now: TimePoint,
        jitter_sample: f64,
        fetch: impl FnOnce() -> Result<TemporaryToken<()>, BoxError>,
    ) {
        self.state.get(now, Duration::ZERO, true);
        if let Some(in_flight) = self.state.in_flight().filter(|in_flight| in_flight.not_before.is_reached(now)) {
            self.state.begin(in_flight.id, now);
            let result = match fetch() {
                Ok(token) => Ok(NewToken::new(&self.config, token, now)),
                Err(error) => Err(Error::from_source(error, &self.config.name)),
            };
            self.state.complete(in_flight.id, now, result, false, jitter_sample);
        }
        drop(self.state.take_displaced());
    }

    /// Whether callers get a token.
    #[must_use]
    pub fn has_token(&self, now: TimePoint) -> bool {
        matches!(self.state.fallback(now, Duration::ZERO), Some(Ok(_)))
    }

    /// The monotonic time until which further calls of [`get`](Self::get) have no effect.
    #[must_use]
    pub fn next_decision(&self, now: TimePoint) -> Duration {
        match self.state.serving(now) {
            Some(serving) if serving.serve_until.not_reached(now) => serving.serve_until.monotonic(),
            _ => now.monotonic.saturating_add(self.state.status(now).next_attempt),
        }
    }
}

impl fmt::Debug for SimulatedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedCache").field("name", &self.config.name).finish_non_exhaustive()
    }
}
