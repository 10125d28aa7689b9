//! [`Entry`]: the stored token and its deadlines.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimePoint;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::Cause;
use crate::token::TemporaryToken;

/// A token that is not stored yet.
///
/// Created without the lock of the cache, because it calls a function of the user.
pub(crate) struct NewToken<T> {
    pub(crate) token: Arc<T>,
    pub(super) expires: Deadline,
    /// When its fetch started.
    started: TimePoint,
    refresh_at: Option<Deadline>,
    /// By the settings, without jitter.
    expiry_buffer: Duration,
}

pub(crate) struct Entry<T> {
    pub(super) token: Arc<T>,
    pub(super) stored_at: TimePoint,
    /// The start of NearExpiry.
    pub(super) refresh: Deadline,
    /// The start of TooShort.
    pub(super) too_short: Deadline,
    pub(super) expires: Deadline,
    /// A caller has rejected it, and gets another one.
    pub(super) rejected: bool,
}

/// What the first refresh of a token depends on.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// Whether the refresh in the background brought the token when it was due.
    pub(super) in_turn: bool,
    /// Whether the issuer has returned the stored token once more, or one that does not live longer.
    pub(super) repeated: bool,
    pub(super) jitter_sample: f64,
}

impl<T> NewToken<T> {
    /// The token of a fetch that started at `started`.
    ///
    /// # Panics
    ///
    /// If the user's function does.
    pub(crate) fn new(config: &Config, token: TemporaryToken<T>, started: TimePoint) -> Self {
        let (token, expires, refresh_at) = token.into_deadlines(started);
        let expiry_buffer = expires.remaining(started).map_or(Duration::ZERO, &config.expiry_buffer);
        Self { token: Arc::new(token), expires, started, refresh_at, expiry_buffer }
    }

    /// Whether it lives longer than the stored token, and for at least `margin` longer.
    pub(super) fn outlives(&self, entry: &Entry<T>, margin: Duration, now: TimePoint) -> bool {
        match (self.expires.remaining(now), entry.expires.remaining(now)) {
            (Some(new), Some(stored)) => new > stored.saturating_add(margin),
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    pub(super) fn into_entry(self, config: &Config, turn: Turn, now: TimePoint) -> Entry<T> {
        let Self { token, expires, started, .. } = self;
        let Some(lifetime) = expires.remaining(started) else {
            let refresh = self.refresh_at.filter(|at| at.not_reached(now)).unwrap_or(Deadline::NEVER);
            return Entry::new(token, now, refresh, Deadline::NEVER, expires);
        };
        let by_buffer = expires.earlier_by(config.with_jitter(self.expiry_buffer, turn.jitter_sample));
        let refresh = match self.refresh_at {
            // Added after it: the issuer has no other token before.
            Some(at) if at.not_reached(now) => {
                let jittered = at.later_by(config.jitter_of(expires.since(at), turn.jitter_sample));
                if turn.repeated { jittered.max(by_buffer) } else { jittered }
            }
            _ if turn.in_turn || turn.repeated || config.jitter == 0.0 => by_buffer,
            _ => Deadline::after(started, config.first_refresh(lifetime, self.expiry_buffer, turn.jitter_sample)),
        };
        let too_short = expires.earlier_by(config.min_ttl(lifetime));
        Entry::new(token, now, refresh.min(too_short), too_short, expires)
    }
}

impl<T> Entry<T> {
    const fn new(
        token: Arc<T>,
        stored_at: TimePoint,
        refresh: Deadline,
        too_short: Deadline,
        expires: Deadline,
    ) -> Self {
        Self { token, stored_at, refresh, too_short, expires, rejected: false }
    }

    pub(super) fn too_short(&self, required: Duration, now: TimePoint) -> Cause {
        Cause::TooShort { required, available: self.expires.remaining(now).unwrap_or(Duration::MAX) }
    }
}
