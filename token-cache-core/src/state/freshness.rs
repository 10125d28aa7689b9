//! The freshness table: for each [`Freshness`], whether the stored token can be returned, until when, and whether a fetch is
//! due. Every decision starts here.
//!
//! | freshness            | token can be returned until | row ends at           | fetch         |
//! |----------------------|-----------------------------|-----------------------|---------------|
//! | Empty                | -                           | -                     | first         |
//! | Fresh                | expiry                      | start of buffer       | no            |
//! | Fresh, rejected      | expiry                      | start of buffer       | in background |
//! | NearExpiry           | expiry                      | start of min_ttl      | in background |
//! | TooShort             | expiry                      | expiry                | first         |
//! | Expired              | -                           | -                     | first         |
//! | Expired, source down | end of `stale_if_error`     | the same              | in background |

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Failure, State};
use crate::clock::TimePoint;
use crate::deadline::Deadline;
use crate::status::Freshness;

/// A row of the table.
pub(super) struct Row<'a, T> {
    pub(super) freshness: Freshness,
    /// The stored token, if it can be returned.
    pub(super) usable: Option<Usable<'a, T>>,
    pub(super) ends: Deadline,
    pub(super) fetch: FetchDue,
}

pub(super) struct Usable<'a, T> {
    pub(super) entry: &'a Entry<T>,
    pub(super) until: Deadline,
    /// The same, if the source stays down.
    pub(super) at_most_until: Deadline,
}

/// Whether the stored token should be replaced now.
#[derive(Clone, Copy)]
pub(super) enum FetchDue {
    No,
    /// While the stored token is returned.
    Background,
    /// Before a token is returned.
    First,
}

impl<T> State<T> {
    pub(super) fn freshness_row(&self, now: TimePoint) -> Row<'_, T> {
        let Some(entry) = &self.entry else {
            return Row { freshness: Freshness::Empty, usable: None, ends: Deadline::PAST, fetch: FetchDue::First };
        };
        let row = |freshness, ends, fetch| {
            let usable = Some(Usable { entry, until: entry.expires, at_most_until: entry.expires });
            Row { freshness, usable, ends, fetch }
        };
        if entry.refresh.not_reached(now) {
            let fetch = if entry.rejected { FetchDue::Background } else { FetchDue::No };
            return row(Freshness::Fresh, entry.refresh, fetch);
        }
        if entry.too_short.not_reached(now) {
            return row(Freshness::NearExpiry, entry.too_short, FetchDue::Background);
        }
        if entry.expires.not_reached(now) {
            return row(Freshness::TooShort, entry.expires, FetchDue::First);
        }
        let stale = entry.expires.later_by(self.config.stale_if_error);
        match &self.failure {
            Some(failure) if !failure.is_permanent() && !entry.rejected => {
                let until = stale.min(self.known_down_until(failure));
                let usable = until.not_reached(now).then_some(Usable { entry, until, at_most_until: stale });
                let fetch = if usable.is_some() { FetchDue::Background } else { FetchDue::First };
                Row { freshness: Freshness::Expired, usable, ends: until, fetch }
            }
            _ => Row { freshness: Freshness::Expired, usable: None, ends: Deadline::PAST, fetch: FetchDue::First },
        }
    }

    /// Until when the source is known to be down after its last `failure`: for some time, and while a fetch runs that started
    /// in that time. The end of that fetch will tell.
    fn known_down_until(&self, failure: &Failure) -> Deadline {
        let until = Deadline::after(failure.at, self.config.known_down());
        match self.in_flight.and_then(|in_flight| in_flight.started) {
            Some(started) if until.not_reached(started) => Deadline::NEVER,
            _ => until,
        }
    }
}

impl<T> Usable<'_, T> {
    /// The token and for how long it can be returned to a caller who needs it to be valid for `min_remaining`.
    pub(super) fn token_for(&self, min_remaining: Duration, now: TimePoint) -> Option<(Arc<T>, Duration)> {
        let remaining = self.until.remaining(now).unwrap_or(Duration::MAX).saturating_sub(min_remaining);
        self.entry.expires.has_at_least(min_remaining, now).then(|| (Arc::clone(&self.entry.token), remaining))
    }
}
