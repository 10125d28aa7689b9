//! A token that is stored, and the deadlines that follow from its expiry.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Deadline, TimePoint};
use crate::error::Error;
use crate::policy::Policy;
use crate::token::TemporaryToken;

pub(crate) struct Stored<T> {
    pub(super) token: Arc<T>,
    pub(super) since: TimePoint,
    /// The start of NearExpiry.
    pub(super) refresh: Deadline,
    /// The start of TooShort.
    pub(super) too_short: Deadline,
    pub(super) expires: Deadline,
}

impl<T> Stored<T> {
    /// The answer of a fetch that began at `began`.
    pub(crate) fn new(
        policy: &Policy,
        token: TemporaryToken<T>,
        began: TimePoint,
        now: TimePoint,
        draw: f64,
    ) -> Result<Self, Error> {
        let (token, expires, refresh_at) = token.dated(began);
        if !expires.is_ahead_of(now) {
            return Err(Error::already_expired());
        }
        let (refresh, too_short) = match expires.remaining(began) {
            None => (refresh_at.unwrap_or(Deadline::NEVER), Deadline::NEVER),
            Some(lifetime) => {
                let buffer = || expires.before(policy.expiry_buffer(lifetime, draw));
                (refresh_at.unwrap_or_else(buffer), expires.before(policy.min_ttl(lifetime)))
            }
        };
        Ok(Self { token: Arc::new(token), since: now, refresh: refresh.min(too_short), too_short, expires })
    }

    /// Whether it lasted for so long when it came.
    pub(super) fn lasted(&self, span: Duration) -> bool {
        self.expires.leaves(span, self.since)
    }

    pub(super) fn too_short_for(&self, span: Duration, now: TimePoint) -> Error {
        Error::too_short(span, self.expires.remaining(now).unwrap_or(Duration::MAX))
    }
}
