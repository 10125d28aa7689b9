//! What a hit reads: the token, and until when it may be handed out without asking `state`.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Deadline};
use crate::sync::Slot;

pub(crate) struct Published<T>(Slot<Serving<T>>);

/// A token, and what a reader has to know of it.
pub(crate) struct Serving<T> {
    pub(crate) token: Arc<T>,
    /// Until when it may be handed out without a decision.
    pub(crate) until: Deadline,
    pub(crate) expires: Deadline,
}

impl<T> Published<T> {
    pub(crate) fn new(serving: Option<Serving<T>>) -> Self {
        Self(Slot::new(serving))
    }

    /// The token, if it may be handed out now to one who needs it to last for `want`. No lock, no allocation, no write
    /// but to the count of its `Arc`.
    #[inline]
    pub(crate) fn hit(&self, clock: &dyn Clock, want: Duration) -> Option<Arc<T>> {
        self.0.read(|serving| {
            let serving = serving?;
            // The time is read last: a thread that was stopped in between must not judge by an old one.
            let now = clock.now();
            let serves = serving.until.is_ahead_of(now) && (want.is_zero() || serving.expires.leaves(want, now));
            serves.then(|| Arc::clone(&serving.token))
        })
    }

    /// Puts up what `state` decided, and returns what stood there, for the caller to drop outside of its lock.
    #[must_use]
    pub(crate) fn publish(&self, serving: Option<Serving<T>>) -> Option<Arc<Serving<T>>> {
        self.0.swap(serving)
    }
}
