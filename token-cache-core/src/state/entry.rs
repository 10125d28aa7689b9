//! [`Entry`]: the stored token and its deadlines.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimePoint;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Cause, Error};
use crate::token::TemporaryToken;

pub(crate) struct Entry<T> {
    pub(super) token: Arc<T>,
    pub(super) stored_at: TimePoint,
    /// The start of NearExpiry.
    pub(super) refresh: Deadline,
    /// The start of TooShort.
    pub(super) too_short: Deadline,
    pub(super) expires: Deadline,
}

impl<T> Entry<T> {
    /// Creates the entry for the token of a fetch that started at `started`, unless it has expired.
    pub(crate) fn new(
        config: &Config,
        token: TemporaryToken<T>,
        started: TimePoint,
        now: TimePoint,
        jitter_sample: f64,
    ) -> Result<Self, Error> {
        let (token, expires, refresh_at) = token.into_deadlines(started);
        if !expires.not_reached(now) {
            return Err(Cause::AlreadyExpired.into());
        }
        let (refresh, too_short) = match expires.remaining(started) {
            None => (refresh_at.unwrap_or(Deadline::NEVER), Deadline::NEVER),
            Some(lifetime) => {
                let buffer = || expires.earlier_by(config.expiry_buffer(lifetime, jitter_sample));
                (refresh_at.unwrap_or_else(buffer), expires.earlier_by(config.min_ttl(lifetime)))
            }
        };
        Ok(Self { token: Arc::new(token), stored_at: now, refresh: refresh.min(too_short), too_short, expires })
    }

    /// Whether the token was valid for at least `duration` when it was stored.
    pub(super) fn was_valid_for(&self, duration: Duration) -> bool {
        self.expires.has_at_least(duration, self.stored_at)
    }

    pub(super) fn too_short(&self, required: Duration, now: TimePoint) -> Error {
        Cause::TooShort { required, available: self.expires.remaining(now).unwrap_or(Duration::MAX) }.into()
    }
}
