//! [`Memory::plan`]: what a process does about the record of its token. Pure.

use std::fmt;
use std::time::{Duration, SystemTime};

use token_cache_core::TimePoint;

/// The settings that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How long a lease lasts after its last renewal.
    pub(crate) lease: Duration,
    /// How long a process waits for one and the same holder of a lease before it fetches without one.
    pub(crate) max_wait: Duration,
    /// Whether a process may fetch without a lease.
    pub(crate) may_fetch_alone: bool,
}

/// A random number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) [u8; 16]);

/// The token of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenInfo {
    pub(crate) id: Id,
    /// `None`: never.
    pub(crate) expires_at: Option<SystemTime>,
    /// When the fleet renews it.
    pub(crate) refresh_at: Option<SystemTime>,
}

/// A process renews the token, or has failed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Renewal {
    pub(crate) kind: RenewalKind,
    pub(crate) holder: Holder,
    /// How long it lasts if nobody changes it.
    pub(crate) duration: Duration,
    /// By the clock of the process that has written it.
    pub(crate) written_at: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RenewalKind {
    /// A lease: its holder fetches.
    Fetching,
    /// The fetch has failed. Nobody fetches until the pause is over.
    Paused,
}

/// A process that holds a lease. The beat changes with each renewal of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) id: Id,
    pub(crate) beat: u32,
}

/// What a process remembers between two looks at the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// The token that this process has returned last.
    last: Option<TokenInfo>,
    /// When it first saw the current lease or pause, in monotonic time.
    seen: Option<(Holder, Duration)>,
    /// Since when it has been waiting for one holder, in monotonic time.
    waiting: Option<(Id, Duration)>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Return the token of the record.
    UseToken,
    /// Claim the lease, then fetch.
    Claim,
    /// Look again later: another process fetches.
    Wait,
    /// Return the error of the record.
    Fail { retry_after: Duration },
    /// Fetch without a lease.
    FetchAlone,
}

/// What to do if the store does not respond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanWithoutStore {
    /// Return an error: the token that this process has is valid for long, or there must be no fetch without a lease.
    Fail,
    FetchAlone,
}

impl Memory {
    /// Decides what to do about a record with this token and renewal.
    pub(crate) fn plan(
        &mut self,
        token: Option<&TokenInfo>,
        renewal: Option<&Renewal>,
        settings: &Settings,
        now: TimePoint,
    ) -> Plan {
        let renewal = renewal.filter(|renewal| self.is_active(renewal, now));
        let plan = match (token.filter(|token| self.is_usable(token, now)), renewal) {
            // Somebody has to renew it, and it need not be the first who knows it.
            (Some(token), None) if token.is_due(now) => Plan::Claim,
            (Some(_), _) => Plan::UseToken,
            (None, None) => Plan::Claim,
            (None, Some(renewal)) => match renewal.kind {
                RenewalKind::Paused => Plan::Fail { retry_after: remaining(renewal, now) },
                RenewalKind::Fetching if settings.may_fetch_alone && self.is_overdue(renewal, settings, now) => {
                    Plan::FetchAlone
                }
                RenewalKind::Fetching => Plan::Wait,
            },
        };
        self.waiting = match (plan, renewal) {
            (Plan::Wait, Some(renewal)) => Some(self.waiting_for(renewal, now)),
            _ => None,
        };
        plan
    }

    /// Decides what to do if the store does not respond.
    ///
    /// A process that has a token waits for the store during the first half of the time in which the token is to be renewed.
    /// After that it renews the token alone, as it does without a store.
    pub(crate) fn plan_without_store(&self, settings: &Settings, now: TimePoint) -> PlanWithoutStore {
        let can_wait = self.last.is_some_and(|token| token.can_wait(now));
        if settings.may_fetch_alone && !can_wait { PlanWithoutStore::FetchAlone } else { PlanWithoutStore::Fail }
    }

    /// Whether the token can be returned. A process that asks again although it has the token is done with it: the token is due
    /// or was rejected.
    pub(crate) fn is_usable(&self, token: &TokenInfo, now: TimePoint) -> bool {
        token.is_valid(now) && self.last.is_none_or(|last| last.id != token.id)
    }

    /// The process returns this token.
    pub(crate) const fn set_last(&mut self, token: TokenInfo) {
        self.last = Some(token);
    }

    /// A lease is over once this process has seen the same beat for its whole duration, by its own monotonic clock. So it does
    /// not depend on what time it is elsewhere. The wall time only ends what was left behind long ago.
    ///
    /// A pause also ends by the wall time: it is short, and its end costs one fetch at most.
    fn is_active(&mut self, renewal: &Renewal, now: TimePoint) -> bool {
        let first_seen = match self.seen {
            Some((holder, first_seen)) if holder == renewal.holder => first_seen,
            _ => now.monotonic(),
        };
        self.seen = Some((renewal.holder, first_seen));
        let (duration, tolerance) = match renewal.kind {
            RenewalKind::Fetching => (renewal.duration.min(MAX_LEASE), CLOCK_TOLERANCE),
            RenewalKind::Paused => (renewal.duration.min(MAX_PAUSE), Duration::ZERO),
        };
        let age = now.wall().duration_since(renewal.written_at).unwrap_or_default();
        let is_in_future = renewal.written_at.duration_since(now.wall()).is_ok_and(|ahead| ahead > CLOCK_TOLERANCE);
        now.monotonic().saturating_sub(first_seen) < duration && age < duration + tolerance && !is_in_future
    }

    fn waiting_for(&self, renewal: &Renewal, now: TimePoint) -> (Id, Duration) {
        match self.waiting {
            Some((holder, since)) if holder == renewal.holder.id => (holder, since),
            _ => (renewal.holder.id, now.monotonic()),
        }
    }

    /// Whether this process has waited long enough for one and the same holder.
    fn is_overdue(&self, renewal: &Renewal, settings: &Settings, now: TimePoint) -> bool {
        let (_, since) = self.waiting_for(renewal, now);
        now.monotonic().saturating_sub(since) >= settings.max_wait
    }
}

impl TokenInfo {
    pub(crate) fn is_valid(&self, now: TimePoint) -> bool {
        self.expires_at.is_none_or(|expires_at| now.wall() < expires_at)
    }

    fn is_due(&self, now: TimePoint) -> bool {
        self.refresh_at.is_some_and(|refresh_at| refresh_at <= now.wall())
    }

    /// Whether the first half of the time from its refresh to its expiry lasts. Before that a process asks for another token
    /// only because this one was rejected.
    fn can_wait(&self, now: TimePoint) -> bool {
        let (Some(refresh_at), Some(expires_at)) = (self.refresh_at, self.expires_at) else { return false };
        let buffer = expires_at.duration_since(refresh_at).unwrap_or_default();
        refresh_at <= now.wall() && now.wall() < refresh_at + buffer / 2
    }
}

fn remaining(renewal: &Renewal, now: TimePoint) -> Duration {
    let age = now.wall().duration_since(renewal.written_at).unwrap_or_default();
    renewal.duration.min(MAX_PAUSE).saturating_sub(age)
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// By how much the clocks of two hosts may differ without a second fetch.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(600);

/// What is believed of a record.
const MAX_LEASE: Duration = Duration::from_secs(60);
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
