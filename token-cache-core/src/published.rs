//! What a hit reads: the token, and until when it may be handed out without asking `state`.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Deadline, LONGEST_TICK};
use crate::notes::{Held, Notes, Stamp};
use crate::sync::{Slot, Version};

/// On lines of memory of its own: whatever else lies there may be written to, and the reference count of a token is.
#[repr(align(64))]
pub(crate) struct Published<T> {
    /// The number of the word that stands, or of the one that is about to.
    version: Version,
    clock: Arc<dyn Clock>,
    word: Slot<Word<T>>,
    notes: Notes,
}

/// What was decided last.
pub(crate) struct Word<T> {
    version: usize,
    serving: Serving<T>,
}

/// A token, and what a reader has to know of it.
pub(crate) struct Serving<T> {
    pub(crate) token: Arc<T>,
    /// Until when it may be handed out without a decision.
    pub(crate) until: Deadline,
    pub(crate) expires: Deadline,
}

/// A token that may be handed out now.
pub(crate) struct Hit<T> {
    pub(crate) token: Arc<T>,
    /// As long as this stands, it may be handed out without a look at the time. `None`: not even once more.
    pub(crate) stamp: Option<Stamp>,
}

impl<T: Send + Sync + 'static> Published<T> {
    /// The token, if it may be handed out now. No lock, no allocation, no write that another thread sees but to the count
    /// of its `Arc`.
    #[inline]
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        match self.stamp().and_then(|stamp| self.notes.find(stamp)) {
            None => self.noted(),
            token => token,
        }
    }

    /// What a note made now would have to be found under.
    #[inline]
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let tick = self.clock.tick()?;
        Some(Stamp { version: self.version.get(), tick })
    }

    /// As [`judged`](Self::judged), and notes it for the rest of the tick.
    #[inline(never)]
    fn noted(&self) -> Option<Arc<T>> {
        let Hit { token, stamp } = self.judged(Duration::ZERO)?;
        if let Some(stamp) = stamp {
            self.notes.put(stamp, &token, Held::weakly);
        }
        Some(token)
    }
}

impl<T> Published<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>, serving: Option<Serving<T>>) -> Self {
        let version = Version::new();
        let word = serving.map(|serving| Word { version: version.get(), serving });
        Self { version, clock, word: Slot::new(word), notes: Notes::default() }
    }

    /// The token, if by the time it is now it may be handed out to one who needs it to last for `want`.
    pub(crate) fn judged(&self, want: Duration) -> Option<Hit<T>> {
        // Before the time itself: should the tick end in between, the stamp is an old one, and nothing is lost but that.
        let tick = self.clock.tick();
        self.word.read(|word| {
            let Word { version, serving } = word?;
            // The time is read last: a thread that was stopped in between must not judge by an old one.
            let now = self.clock.now();
            if !serving.until.is_ahead_of(now) || !(want.is_zero() || serving.expires.leaves(want, now)) {
                return None;
            }
            // A decision may come late by a tick, an expiry may not.
            let tick = tick.filter(|_| serving.expires.leaves(LONGEST_TICK, now));
            let stamp = tick.map(|tick| Stamp { version: *version, tick });
            Some(Hit { token: Arc::clone(&serving.token), stamp })
        })
    }

    /// The stored token, unless it has expired.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.word.read(|word| {
            let Serving { token, expires, .. } = &word?.serving;
            expires.is_ahead_of(self.clock.now()).then(|| Arc::clone(token))
        })
    }

    /// Puts up what `state` decided, and returns what stood there, for the caller to drop outside of its lock.
    #[must_use]
    pub(crate) fn publish(&self, serving: Option<Serving<T>>) -> Option<Arc<Word<T>>> {
        // First the number: from then on no note counts, and who still reads the old word, notes it under the old number.
        // The other way round, one who has seen the new token could find the old one after it.
        let version = self.version.advance();
        self.word.swap(serving.map(|serving| Word { version, serving }))
    }
}
