//! A reference implementation of the contract, as simple as possible: no locks, tasks or snapshots.
//!
//! It cannot know the jitter of a backoff. It checks that the cache's value is in the allowed range, and uses it.

use std::time::{Duration, SystemTime};

use token_cache_core::{ErrorKind, FetchReason, Freshness, TimePoint};

use crate::program::{Buffer, Place, Settings};

pub(crate) struct Reference {
    pub(crate) settings: Settings,
    pub(crate) now: TimePoint,
    pub(crate) stored: Option<StoredToken>,
    /// The number of tokens stored so far, which is also the number of the latest one.
    pub(crate) generation: usize,
    /// The number of fetches that have started.
    pub(crate) fetches: usize,
    pub(crate) pending: Option<PendingFetch>,
    /// How each fetch ended, by its number.
    outcomes: Vec<Option<FetchOutcome>>,
    last_start: Option<Duration>,
    pub(crate) failure: Option<Failure>,
    rejected: bool,
    /// The events since the last check.
    pub(crate) events: Vec<EventInfo>,
}

/// A stored token.
#[derive(Clone, Copy)]
pub(crate) struct StoredToken {
    pub(crate) generation: usize,
    pub(crate) value: u32,
    /// `None`: never.
    pub(crate) end: Option<Deadline>,
    refresh_at: Option<Deadline>,
    buffer: Duration,
    min_ttl: Duration,
    stored_at: TimePoint,
}

/// A time on both clocks. It is reached when either clock reaches it.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    monotonic: Duration,
    wall: SystemTime,
}

pub(crate) struct PendingFetch {
    number: usize,
    runtime: usize,
    reason: FetchReason,
    not_before: Duration,
    started: Option<TimePoint>,
    /// Until when callers who have a usable token wait for it.
    soft_deadline: Option<Duration>,
}

pub(crate) struct Failure {
    pub(crate) info: ErrorInfo,
    pub(crate) consecutive_failures: u32,
    at: TimePoint,
    not_before: Duration,
}

/// What is visible of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorInfo {
    pub(crate) kind: ErrorKind,
    /// The number of the source's own error.
    pub(crate) cause: Option<u32>,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy)]
enum FetchOutcome {
    Stored,
    Failed(ErrorInfo),
    Lost,
}

/// The answer of the source.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Token { value: u32, end: Expiry, refresh_at: Option<SystemTime> },
    Failure { kind: ErrorKind, cause: Option<u32> },
}

#[derive(Clone, Copy)]
pub(crate) enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
}

/// A caller who has no result yet.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) place: Place,
    pub(crate) min_remaining: Duration,
    pub(crate) refreshes: bool,
    waits: Option<Wait>,
}

#[derive(Clone, Copy)]
struct Wait {
    pending: usize,
    until: Option<Duration>,
    started_here: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Token { generation: usize },
    Error(ErrorInfo),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventInfo {
    Started(FetchReason),
    Succeeded { generation: usize, remaining: Option<Duration>, took: Duration },
    Failed(ErrorInfo, Duration),
    Invalidated { generation: usize },
}

enum Decision {
    Now(Outcome),
    Wait(Wait),
}

impl Reference {
    pub(crate) fn new(settings: Settings, now: TimePoint) -> Self {
        Self {
            settings,
            now,
            stored: None,
            generation: 0,
            fetches: 0,
            pending: None,
            outcomes: Vec::new(),
            last_start: None,
            failure: None,
            rejected: false,
            events: Vec::new(),
        }
    }

    /// Polls a caller.
    pub(crate) fn poll(&mut self, caller: &mut Caller) -> Option<Outcome> {
        loop {
            let Some(wait) = caller.waits else {
                let decision = if caller.refreshes { self.refresh(caller) } else { self.get(caller) };
                match decision {
                    Decision::Now(outcome) => return Some(outcome),
                    Decision::Wait(wait) => caller.waits = Some(wait),
                }
                continue;
            };
            match self.outcomes[wait.pending] {
                None if wait.until.is_none_or(|until| self.now.monotonic() < until) => return None,
                outcome => {
                    if let Some(outcome) = self.after(caller, outcome, wait.started_here) {
                        return Some(outcome);
                    }
                    caller.waits = None;
                    // Its fetch succeeded, but the token is gone already. It needs one as any caller of `get`.
                    caller.refreshes &= !matches!(outcome, Some(FetchOutcome::Stored));
                }
            }
        }
    }

    /// The result for a caller who has waited for a fetch. `None` if it has to decide again.
    fn after(&self, caller: &Caller, outcome: Option<FetchOutcome>, started_here: bool) -> Option<Outcome> {
        let usable = self.usable(caller.min_remaining).map(token);
        match outcome {
            Some(FetchOutcome::Failed(info)) if caller.refreshes => Some(Outcome::Error(info)),
            Some(FetchOutcome::Lost) if caller.refreshes => started_here.then(|| error(ErrorKind::NoRuntime)),
            _ if usable.is_some() => usable,
            Some(FetchOutcome::Failed(info)) => Some(Outcome::Error(info)),
            Some(FetchOutcome::Stored) => self.usable(Duration::ZERO).map(|_| error(ErrorKind::TooShort)),
            Some(FetchOutcome::Lost) => started_here.then(|| error(ErrorKind::NoRuntime)),
            None => None,
        }
    }

    fn get(&mut self, caller: &Caller) -> Decision {
        let Some(stored) = self.usable(caller.min_remaining) else { return self.get_without_token(caller) };
        let serve = Decision::Now(token(stored));
        let due = self.is_due();
        match (stored.freshness(self.now), caller.place) {
            (Freshness::NearExpiry, Place::Runtime(runtime)) if due && self.pending.is_none() => {
                self.start_fetch(runtime, FetchReason::NearExpiry);
                serve
            }
            (Freshness::TooShort, Place::Runtime(runtime)) => {
                let started_here = due && self.pending.is_none();
                if started_here {
                    self.start_fetch(runtime, FetchReason::TooShort);
                }
                let ten_percent = stored.remaining(self.now).map_or(Duration::ZERO, |remaining| remaining / 10);
                let now = self.now.monotonic();
                match &mut self.pending {
                    None => serve,
                    Some(pending) => {
                        let until = *pending.soft_deadline.get_or_insert(now + ten_percent);
                        if now < until {
                            Decision::Wait(Wait { pending: pending.number, until: Some(until), started_here })
                        } else {
                            serve
                        }
                    }
                }
            }
            _ => serve,
        }
    }

    fn get_without_token(&mut self, caller: &Caller) -> Decision {
        if let Some(pending) = &self.pending {
            return Decision::Wait(Wait { pending: pending.number, until: None, started_here: false });
        }
        if !self.is_due() {
            if let Some(info) = self.last_error() {
                return Decision::Now(Outcome::Error(info));
            }
            // The source has just shown how long its tokens are valid.
            let initial = self.stored.and_then(|stored| stored.initial_remaining());
            if initial.is_some_and(|initial| initial < caller.min_remaining) {
                return Decision::Now(error(ErrorKind::TooShort));
            }
        }
        let Place::Runtime(runtime) = caller.place else { return Decision::Now(error(ErrorKind::NoRuntime)) };
        let reason = match self.stored {
            Some(stored) if stored.freshness(self.now) != Freshness::Expired => FetchReason::TooShort,
            Some(_) => FetchReason::Expired,
            None if self.rejected => FetchReason::Invalidated,
            None => FetchReason::Empty,
        };
        let pending = self.start_fetch(runtime, reason);
        Decision::Wait(Wait { pending, until: None, started_here: true })
    }

    fn refresh(&mut self, caller: &Caller) -> Decision {
        if let Some(pending) = &self.pending {
            return Decision::Wait(Wait { pending: pending.number, until: None, started_here: false });
        }
        match (self.is_due(), caller.place) {
            (true, Place::Runtime(runtime)) => {
                let pending = self.start_fetch(runtime, FetchReason::Requested);
                Decision::Wait(Wait { pending, until: None, started_here: true })
            }
            (true, Place::Outside) => Decision::Now(error(ErrorKind::NoRuntime)),
            (false, _) => match (self.last_error(), self.usable(Duration::ZERO)) {
                (Some(info), _) => Decision::Now(Outcome::Error(info)),
                (None, Some(stored)) => Decision::Now(token(stored)),
                (None, None) => self.get_without_token(caller),
            },
        }
    }

    fn start_fetch(&mut self, runtime: usize, reason: FetchReason) -> usize {
        let (number, not_before) = (self.outcomes.len(), self.next_attempt());
        self.outcomes.push(None);
        self.pending = Some(PendingFetch { number, runtime, reason, not_before, started: None, soft_deadline: None });
        number
    }

    /// Runs the fetch until it waits.
    ///
    /// `reply` is the answer of the source. After a failure, the next attempt is in `next_attempt`.
    pub(crate) fn run_fetch(&mut self, reply: Option<Reply>, next_attempt: Duration) -> Result<(), String> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        if pending.started.is_none() && self.now.monotonic() >= pending.not_before {
            pending.started = Some(self.now);
            self.last_start = Some(self.now.monotonic());
            self.fetches += 1;
            self.events.push(EventInfo::Started(pending.reason));
        }
        let Some(started) = pending.started else { return Ok(()) };
        let number = pending.number;
        let late = self.now.monotonic() >= started.monotonic() + self.settings.fetch_timeout;
        let outcome = match reply {
            Some(Reply::Token { value, end, refresh_at }) => {
                match StoredToken::new(&self.settings, self.generation + 1, value, end, refresh_at, started, self.now) {
                    Some(stored) => self.store(stored, started),
                    None => self.fail(ErrorKind::AlreadyExpired, None, started, next_attempt)?,
                }
            }
            Some(Reply::Failure { kind, cause }) => self.fail(kind, cause, started, next_attempt)?,
            None if late => self.fail(ErrorKind::TimedOut, None, started, next_attempt)?,
            None => return Ok(()),
        };
        self.outcomes[number] = Some(outcome);
        self.pending = None;
        Ok(())
    }

    fn store(&mut self, stored: StoredToken, started: TimePoint) -> FetchOutcome {
        self.generation = stored.generation;
        self.stored = Some(stored);
        self.failure = None;
        self.rejected = false;
        let took = self.now.monotonic() - started.monotonic();
        let remaining = stored.remaining(self.now);
        self.events.push(EventInfo::Succeeded { generation: stored.generation, remaining, took });
        FetchOutcome::Stored
    }

    fn fail(
        &mut self,
        kind: ErrorKind,
        cause: Option<u32>,
        started: TimePoint,
        next_attempt: Duration,
    ) -> Result<FetchOutcome, String> {
        let consecutive_failures = self.failure.as_ref().map_or(1, |failure| failure.consecutive_failures + 1);
        let info = ErrorInfo { kind, cause, retry_after: Some(next_attempt) };
        self.failure = Some(Failure { info, consecutive_failures, at: self.now, not_before: Duration::ZERO });
        self.take_next_attempt(next_attempt, Duration::MAX)?;
        self.events.push(EventInfo::Failed(info, self.now.monotonic() - started.monotonic()));
        Ok(FetchOutcome::Failed(info))
    }

    /// Uses the cache's time of the next attempt if it is in the allowed range, and not later than `reported` before.
    fn take_next_attempt(&mut self, next_attempt: Duration, reported: Duration) -> Result<(), String> {
        let (settings, now) = (&self.settings, self.now.monotonic());
        let Some(failure) = &mut self.failure else { return Ok(()) };
        // The remaining time of the stored token when the fetch failed. Zero without a token.
        let remaining = self.stored.map_or(Some(Duration::ZERO), |stored| stored.remaining(failure.at));
        let without_token = remaining == Some(Duration::ZERO);
        let cap = if without_token { settings.max_backoff.min(Duration::from_secs(5)) } else { settings.max_backoff };
        let doubled = 2_u32.saturating_pow(failure.consecutive_failures);
        let longest = settings.min_refresh_interval.saturating_mul(doubled).min(cap);
        let half_of_remaining =
            if without_token { Duration::MAX } else { remaining.map_or(Duration::MAX, |remaining| remaining / 2) };
        let paced = self.last_start.unwrap_or_default() + settings.min_refresh_interval;
        let after =
            |backoff: Duration| paced.max(failure.at.monotonic() + backoff.min(half_of_remaining)).min(reported);
        let (earliest, latest) = (after(longest / 2), after(longest));
        let next = now + next_attempt;
        if next < earliest.max(now) || next > latest.max(now) + Duration::from_nanos(1) {
            return Err(format!(
                "P8: after {} consecutive failures, {remaining:?} remaining, the next attempt is in {next_attempt:?}, \
                 which is not between {:?} and {:?}",
                failure.consecutive_failures,
                earliest.saturating_sub(now),
                latest.saturating_sub(now)
            ));
        }
        failure.not_before = next;
        Ok(())
    }

    /// A caller invalidates the token of a generation.
    pub(crate) fn invalidate(&mut self, generation: usize) -> bool {
        let is_stored = self.stored.take_if(|stored| stored.generation == generation).is_some();
        if is_stored {
            self.rejected = true;
            self.events.push(EventInfo::Invalidated { generation });
        }
        is_stored
    }

    /// Without a token the backoff may be shorter.
    pub(crate) fn after_invalidation(&mut self, next_attempt: Duration) -> Result<(), String> {
        self.take_next_attempt(next_attempt, self.next_attempt())
    }

    /// A runtime is dropped, and with it its fetch.
    pub(crate) fn drop_runtime(&mut self, runtime: usize) {
        if let Some(pending) = self.pending.take_if(|pending| pending.runtime == runtime) {
            self.outcomes[pending.number] = Some(FetchOutcome::Lost);
        }
    }

    /// The stored token, if it has not expired and is valid for `min_remaining`.
    pub(crate) fn usable(&self, min_remaining: Duration) -> Option<StoredToken> {
        let stored = self.stored.filter(|stored| stored.freshness(self.now) != Freshness::Expired)?;
        stored.remaining(self.now).is_none_or(|remaining| remaining >= min_remaining).then_some(stored)
    }

    pub(crate) fn freshness(&self) -> Freshness {
        self.stored.map_or(Freshness::Empty, |stored| stored.freshness(self.now))
    }

    /// The earliest time at which a fetch can start.
    fn next_attempt(&self) -> Duration {
        let paced = self.last_start.map_or(Duration::ZERO, |start| start + self.settings.min_refresh_interval);
        self.failure.as_ref().map_or(paced, |failure| failure.not_before.max(paced))
    }

    pub(crate) fn until_next_attempt(&self) -> Duration {
        self.next_attempt().saturating_sub(self.now.monotonic())
    }

    fn is_due(&self) -> bool {
        self.until_next_attempt().is_zero()
    }

    fn last_error(&self) -> Option<ErrorInfo> {
        let failure = self.failure.as_ref()?;
        Some(ErrorInfo { retry_after: Some(self.until_next_attempt()), ..failure.info })
    }

    /// Whether the fetch has timed out.
    pub(crate) fn is_overdue(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            let start = pending.started.map_or(pending.not_before, |started| started.monotonic());
            self.now.monotonic() >= start + self.settings.fetch_timeout
        })
    }

    /// The time until each deadline that is not reached.
    pub(crate) fn deadlines(&self) -> Vec<Duration> {
        let now = self.now.monotonic();
        let mut deadlines = vec![self.until_next_attempt()];
        if let Some(stored) = self.stored {
            let remaining = stored.remaining(self.now);
            deadlines.extend(remaining);
            deadlines.extend(remaining.map(|remaining| remaining.saturating_sub(stored.min_ttl)));
            deadlines.extend(remaining.map(|remaining| remaining.saturating_sub(stored.buffer)));
            deadlines.extend(stored.refresh_at.map(|end| end.remaining(self.now)));
        }
        if let Some(pending) = &self.pending {
            let timeout = pending.started.map(|started| started.monotonic() + self.settings.fetch_timeout);
            deadlines.extend(timeout.map(|end| end.saturating_sub(now)));
            deadlines.extend(pending.soft_deadline.map(|end| end.saturating_sub(now)));
            deadlines.push(pending.not_before.saturating_sub(now));
        }
        deadlines.retain(|duration| !duration.is_zero());
        deadlines
    }
}

impl StoredToken {
    /// `None` if it has expired.
    fn new(
        settings: &Settings,
        generation: usize,
        value: u32,
        expiry: Expiry,
        refresh_at: Option<SystemTime>,
        started: TimePoint,
        now: TimePoint,
    ) -> Option<Self> {
        let end = match expiry {
            Expiry::At(wall) => Some(Deadline::at(wall, started)),
            Expiry::In(lifetime) => Some(Deadline::at(started.wall() + lifetime, started)),
            Expiry::Never => None,
        };
        let lifetime = end.map_or(Duration::ZERO, |end| end.remaining(started));
        let buffer = match settings.expiry_buffer {
            Buffer::Fixed(duration) => duration.min(lifetime / 2),
            Buffer::Percent(percent) => lifetime * percent / 100,
        };
        let min_ttl = settings.min_ttl.min(lifetime / 4);
        let refresh_at = refresh_at.map(|wall| Deadline::at(wall, started));
        let stored = Self { generation, value, end, refresh_at, buffer, min_ttl, stored_at: now };
        (stored.freshness(now) != Freshness::Expired).then_some(stored)
    }

    pub(crate) fn remaining(&self, now: TimePoint) -> Option<Duration> {
        self.end.map(|end| end.remaining(now))
    }

    pub(crate) fn age(&self, now: TimePoint) -> Duration {
        now.monotonic() - self.stored_at.monotonic()
    }

    /// The remaining time when it was stored.
    pub(crate) fn initial_remaining(&self) -> Option<Duration> {
        self.remaining(self.stored_at)
    }

    fn freshness(&self, now: TimePoint) -> Freshness {
        let remaining = self.remaining(now);
        let within = |duration| remaining.is_some_and(|remaining| remaining <= duration);
        let refreshed = match self.refresh_at {
            Some(end) => end.remaining(now).is_zero(),
            None => within(self.buffer),
        };
        if within(Duration::ZERO) {
            Freshness::Expired
        } else if within(self.min_ttl) {
            Freshness::TooShort
        } else if refreshed {
            Freshness::NearExpiry
        } else {
            Freshness::Fresh
        }
    }
}

impl Deadline {
    /// At `wall`, and at the monotonic time that is as far from `started`. Reached on both clocks if before `started`.
    fn at(wall: SystemTime, started: TimePoint) -> Self {
        match wall.duration_since(started.wall()) {
            Ok(duration) => Self { monotonic: started.monotonic() + duration, wall },
            Err(_) => Self { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH },
        }
    }

    fn remaining(&self, now: TimePoint) -> Duration {
        let wall = self.wall.duration_since(now.wall()).unwrap_or_default();
        self.monotonic.saturating_sub(now.monotonic()).min(wall)
    }
}

impl Caller {
    pub(crate) const fn new(place: Place, min_remaining: Duration, refreshes: bool) -> Self {
        Self { place, min_remaining, refreshes, waits: None }
    }
}

fn token(stored: StoredToken) -> Outcome {
    Outcome::Token { generation: stored.generation }
}

fn error(kind: ErrorKind) -> Outcome {
    Outcome::Error(ErrorInfo { kind, cause: None, retry_after: None })
}
