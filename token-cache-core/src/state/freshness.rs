//! The freshness table: for each [`Freshness`], whether the stored token can be returned, until when, and whether a fetch is
//! due. Every decision starts here.
//!
//! | freshness  | token can be returned until | row ends at      | fetch            |
//! |------------|-----------------------------|------------------|------------------|
//! | Empty      | -                           | -                | first            |
//! | Fresh      | expiry                      | start of buffer  | no               |
//! | NearExpiry | expiry                      | start of min_ttl | in background    |
//! | TooShort   | expiry                      | expiry           | first            |
//! | Expired    | end of `stale_if_error`     | the same         | first            |

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, State};
use crate::clock::TimePoint;
use crate::deadline::Deadline;
use crate::event::FetchReason;
use crate::status::Freshness;

/// A row of the table.
pub(super) struct Row<'a, T> {
    pub(super) freshness: Freshness,
    /// The stored token, if it can be returned, and until when.
    pub(super) usable: Option<(&'a Entry<T>, Deadline)>,
    pub(super) ends: Deadline,
    pub(super) fetch: FetchDue,
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
        let row = |freshness, usable, ends, fetch| Row { freshness, usable, ends, fetch };
        let Some(entry) = &self.entry else {
            return row(Freshness::Empty, None, Deadline::PAST, FetchDue::First);
        };
        let until_expiry = Some((entry, entry.expires));
        if entry.refresh.not_reached(now) {
            return row(Freshness::Fresh, until_expiry, entry.refresh, FetchDue::No);
        }
        if entry.too_short.not_reached(now) {
            return row(Freshness::NearExpiry, until_expiry, entry.too_short, FetchDue::Background);
        }
        if entry.expires.not_reached(now) {
            return row(Freshness::TooShort, until_expiry, entry.expires, FetchDue::First);
        }
        // An expired token is only returned while the source is known to be down.
        let stale = entry.expires.later_by(self.config.stale_if_error);
        let usable = (self.failures() > 0 && stale.not_reached(now)).then_some((entry, stale));
        row(Freshness::Expired, usable, stale, FetchDue::First)
    }

    /// Why a fetch starts now.
    pub(super) const fn fetch_reason(&self, freshness: Freshness) -> FetchReason {
        match freshness {
            Freshness::Empty if self.invalidated => FetchReason::Invalidated,
            Freshness::Empty => FetchReason::Empty,
            // Only for a caller who needs a longer remaining lifetime.
            Freshness::Fresh => FetchReason::TooShort,
            Freshness::NearExpiry => FetchReason::NearExpiry,
            Freshness::TooShort => FetchReason::TooShort,
            Freshness::Expired => FetchReason::Expired,
        }
    }
}

impl<T> Row<'_, T> {
    /// The stored token, and until when it can be returned to a caller who needs it to be valid for `min_remaining`.
    pub(super) fn usable_for(&self, min_remaining: Duration, now: TimePoint) -> Option<(Arc<T>, Deadline)> {
        let (entry, until) = self.usable?;
        entry.expires.has_at_least(min_remaining, now).then(|| (Arc::clone(&entry.token), until))
    }
}
