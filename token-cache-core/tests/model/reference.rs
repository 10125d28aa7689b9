//! A reference implementation of the contract: what each caller may get, given what has happened.

use std::time::Duration;

use token_cache_core::{ErrorKind, FetchReason, Freshness, TimePoint};

use crate::history::{By, End, Fact, Failure, History};
use crate::program::{Place, Settings};
use crate::token::{Origin, Secret, Stated, Token, outlives};

pub(crate) struct Reference {
    pub(crate) history: History,
    /// The events since the last check.
    pub(crate) events: Vec<EventInfo>,
    /// The generations that were served after their expiry since the last check.
    pub(crate) served_expired: Vec<u64>,
}

/// A caller who has no result yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) place: Place,
    pub(crate) demand: Demand,
    /// Whether the stored token helps: it is not the one that this caller replaces.
    gets: bool,
    /// The valid token that the fetch has brought for which this caller has waited.
    pub(crate) brought: Option<u64>,
    /// For a caller of a view: what the view has converted last, which it returns without reading the stored token.
    pub(crate) converted: Option<u64>,
    waits: Option<Wait>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Demand {
    /// `stored`: the stored token only, because something else is read together with it.
    Get {
        min_remaining: Duration,
        stored: bool,
    },
    Refresh,
    /// Any token but this one.
    Replace {
        generation: u64,
        secret: Secret,
    },
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    fetch: usize,
    since: TimePoint,
    /// Until when the caller waits, who had a usable token on arrival.
    soft_deadline: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Token { generation: u64 },
    Error(ErrorInfo),
}

/// What is visible of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorInfo {
    pub(crate) kind: ErrorKind,
    /// The number of the source's own error.
    pub(crate) cause: Option<u32>,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventInfo {
    Started(FetchReason),
    Succeeded { generation: u64, remaining: Option<Duration>, took: Duration },
    Failed { error: ErrorInfo, failures: usize, took: Duration },
    Stored { generation: u64, remaining: Option<Duration> },
    Invalidated { generation: u64 },
}

/// The answer of the source.
#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Token(Stated),
    Failure(Failure),
}

/// What a caller finds on arrival.
enum Found {
    Now(Outcome),
    Wait(Wait),
}

impl Reference {
    pub(crate) fn new(settings: Settings, initial: Option<Stated>, now: TimePoint) -> Self {
        let mut reference =
            Self { history: History::new(settings, now), events: Vec::new(), served_expired: Vec::new() };
        let origin = Origin { started: now, in_turn: false, previous: None };
        if let Some(token) = initial.and_then(|stated| Token::new(&settings, 1, stated, origin, now)) {
            reference.history.push(Fact::Stored { token, by: By::Builder });
        }
        reference
    }

    /// Polls a caller. `None`: the caller waits.
    pub(crate) fn poll(&mut self, caller: &mut Caller) -> Option<Outcome> {
        match self.poll_any(caller)? {
            Outcome::Token { generation } => Some(self.given(caller, generation)),
            error @ Outcome::Error(_) => Some(error),
        }
    }

    /// The outcome for a caller who is given a token.
    pub(crate) fn given(&self, caller: &Caller, generation: u64) -> Outcome {
        match caller.demand {
            // The issuer insists on it, or a caller has stored it again.
            Demand::Replace { generation: rejected, secret } if self.is_rejected(generation, rejected, secret) => {
                error(ErrorKind::Rejected)
            }
            _ => Outcome::Token { generation },
        }
    }

    fn is_rejected(&self, generation: u64, rejected: u64, secret: Secret) -> bool {
        rejected == generation || self.history.token(generation).is_some_and(|token| self.is_same(token.secret, secret))
    }

    fn poll_any(&mut self, caller: &mut Caller) -> Option<Outcome> {
        loop {
            let Some(wait) = caller.waits else {
                match self.arrive(caller) {
                    Found::Now(outcome) => return Some(outcome),
                    Found::Wait(wait) => caller.waits = Some(wait),
                }
                continue;
            };
            let end = self.history.end(wait.fetch);
            if end.is_none() && wait.soft_deadline.is_none_or(|until| self.history.now.monotonic() < until) {
                return None;
            }
            if let (Some(_), Demand::Get { min_remaining, .. }) = (wait.soft_deadline, &mut caller.demand) {
                // The stored token was good enough on arrival. So is any that lasts as long as was required then.
                *min_remaining = min_remaining.saturating_sub(elapsed(wait.since, self.history.now));
            }
            let Some(end) = end else {
                caller.waits = None;
                continue;
            };
            if let Some(outcome) = self.result(caller, wait.fetch, end) {
                return Some(outcome);
            }
            caller.waits = None;
        }
    }

    /// The result for a caller who has waited for a fetch. `None`: the fetch has brought nothing.
    fn result(&mut self, caller: &mut Caller, fetch: usize, end: End) -> Option<Outcome> {
        let min_remaining = caller.demand.min_remaining();
        let gets = caller.gets;
        match end {
            End::Stored { generation } => {
                if let (false, Demand::Replace { generation: rejected, secret }) = (gets, caller.demand)
                    && self.is_rejected(generation, rejected, secret)
                {
                    return Some(error(ErrorKind::Rejected));
                }
                let needs_stored =
                    matches!(caller.demand, Demand::Get { stored: true, .. }) && caller.converted != Some(generation);
                let brought = self.history.token(generation).copied()?;
                let is_valid = brought.has(min_remaining, self.history.now);
                if is_valid && needs_stored && self.history.generation() != generation {
                    return None;
                }
                caller.brought = is_valid.then_some(generation);
                if let (true, Some(outcome)) = (gets, self.usable(min_remaining)) {
                    return Some(outcome);
                }
                if is_valid && !needs_stored {
                    return Some(found(&brought));
                }
                if gets && self.usable(Duration::ZERO).is_some() {
                    return Some(error(ErrorKind::TooShort));
                }
                // It has expired already. Any token will do.
                if matches!(caller.demand, Demand::Refresh) {
                    caller.demand = Demand::Get { min_remaining, stored: false };
                    caller.gets = true;
                }
                None
            }
            End::Discarded | End::Lost => {
                if gets {
                    self.usable(min_remaining)
                } else {
                    None
                }
            }
            End::Failed(failure) => {
                let usable = if gets { self.usable(min_remaining) } else { None };
                if usable.is_some() {
                    return usable;
                }
                if gets
                    && min_remaining.is_zero()
                    && let Some(stale) = self.stale()
                {
                    return Some(stale);
                }
                let retry_after = self.history.reported(fetch);
                Some(Outcome::Error(ErrorInfo { kind: failure.kind, cause: failure.cause, retry_after }))
            }
        }
    }

    fn arrive(&mut self, caller: &mut Caller) -> Found {
        if let Demand::Replace { generation, secret } = caller.demand {
            caller.gets |= !self.is_stored(generation, secret);
        }
        match caller.demand {
            Demand::Refresh => self.refresh(caller.place),
            Demand::Replace { .. } if !caller.gets => self.replace(caller.place),
            demand => self.get(caller.place, demand.min_remaining()),
        }
    }

    fn get(&mut self, place: Place, min_remaining: Duration) -> Found {
        let Some(token) = self.history.usable(min_remaining).copied() else {
            return self.get_without_token(place, min_remaining);
        };
        let serve = Found::Now(found(&token));
        let freshness = token.freshness(self.history.now);
        let allowed = self.history.until_next_attempt().is_zero();
        if freshness == Freshness::Fresh && !self.history.is_being_replaced() {
            return serve;
        }
        if let (None, true, Place::Runtime(runtime)) = (self.history.pending(), allowed, place) {
            self.request(runtime, self.reason());
        }
        let (Some((fetch, ..)), Freshness::TooShort, Place::Runtime(_)) = (self.history.pending(), freshness, place)
        else {
            return serve;
        };
        // The first caller who waits sets the deadline for all.
        let until = self.history.soft_deadline(fetch).unwrap_or_else(|| {
            let remaining = token.remaining(self.history.now).unwrap_or_default();
            let ten_percent = remaining.saturating_sub(min_remaining) / 10;
            let monotonic = self.history.now.monotonic() + ten_percent;
            self.history.push(Fact::WaitsUntil { fetch, monotonic });
            monotonic
        });
        if self.history.now.monotonic() >= until {
            return serve;
        }
        Found::Wait(Wait { fetch, since: self.history.now, soft_deadline: Some(until) })
    }

    fn get_without_token(&mut self, place: Place, min_remaining: Duration) -> Found {
        if min_remaining.is_zero()
            && let Some(stale) = self.stale()
        {
            let allowed = self.history.until_next_attempt().is_zero();
            if let (None, true, Place::Runtime(runtime)) = (self.history.pending(), allowed, place) {
                self.request(runtime, self.reason());
            }
            return Found::Now(stale);
        }
        if let Some(wait) = self.join() {
            return wait;
        }
        if self.knows_too_short(min_remaining) {
            return Found::Now(error(ErrorKind::TooShort));
        }
        if let Some(last) = self.refusal() {
            return Found::Now(last);
        }
        let Place::Runtime(runtime) = place else { return Found::Now(error(ErrorKind::NoRuntime)) };
        let reason = match self.reason() {
            // For a caller who needs more.
            FetchReason::NearExpiry => FetchReason::TooShort,
            reason => reason,
        };
        Found::Wait(self.request(runtime, reason))
    }

    /// Why a fetch starts now.
    fn reason(&self) -> FetchReason {
        match self.history.freshness() {
            _ if self.history.is_being_replaced() => FetchReason::Invalidated,
            Freshness::Empty if self.history.was_rejected() => FetchReason::Invalidated,
            Freshness::Empty => FetchReason::Empty,
            Freshness::NearExpiry => FetchReason::NearExpiry,
            Freshness::Expired => FetchReason::Expired,
            _ => FetchReason::TooShort,
        }
    }

    /// Whether the source has shown that its tokens are not valid for that long, and no refresh is due.
    fn knows_too_short(&self, min_remaining: Duration) -> bool {
        let history = &self.history;
        let Some(stored) = history.usable(Duration::ZERO) else { return false };
        let is_fresh = stored.freshness(history.now) == Freshness::Fresh && !history.is_being_replaced();
        let is_paced = history.failures() == 0 && !history.until_next_attempt().is_zero();
        (is_fresh || is_paced) && history.last_lifetime().is_some_and(|lifetime| lifetime < min_remaining)
    }

    fn refresh(&mut self, place: Place) -> Found {
        if let Some(wait) = self.join() {
            return wait;
        }
        let wait = self.history.until_next_refresh();
        match (wait.is_zero(), place) {
            (true, Place::Runtime(runtime)) => Found::Wait(self.request(runtime, FetchReason::Requested)),
            (true, Place::Outside) => Found::Now(error(ErrorKind::NoRuntime)),
            (false, _) => match (self.refusal(), self.usable(Duration::ZERO)) {
                (Some(last), _) => Found::Now(last),
                (None, Some(token)) => Found::Now(token),
                (None, None) => self.get_without_token(place, Duration::ZERO),
            },
        }
    }

    fn replace(&mut self, place: Place) -> Found {
        if !self.history.is_being_replaced() {
            let wait = self.history.until_next_rejection();
            if !wait.is_zero() {
                let rejected = ErrorInfo { kind: ErrorKind::Rejected, cause: None, retry_after: Some(wait) };
                return Found::Now(Outcome::Error(rejected));
            }
            self.reject(false);
        }
        if let Some(wait) = self.join() {
            return wait;
        }
        if let Some(last) = self.refusal() {
            return Found::Now(last);
        }
        let Place::Runtime(runtime) = place else { return Found::Now(error(ErrorKind::NoRuntime)) };
        Found::Wait(self.request(runtime, FetchReason::Invalidated))
    }

    /// Whether this is the stored token: the same, or an equal one where tokens can be compared.
    fn is_stored(&self, generation: u64, secret: Secret) -> bool {
        self.history.stored().is_some_and(|stored| {
            stored.generation == generation || (self.history.settings.token_eq && stored.secret.value == secret.value)
        })
    }

    fn reject(&mut self, removes: bool) {
        let Some(Token { generation, secret, .. }) = self.history.stored().copied() else { return };
        let again = self.history.is_being_replaced();
        if again || self.history.until_next_rejection().is_zero() {
            self.history.push(Fact::Rejected { generation, secret, removes, again });
            self.events.push(EventInfo::Invalidated { generation });
        }
    }

    pub(crate) fn invalidate(&mut self, generation: u64, secret: Secret) {
        if self.is_stored(generation, secret) {
            self.reject(true);
        }
    }

    /// A caller stores a token. `None`: it has expired.
    pub(crate) fn store(&mut self, stated: Stated) -> Option<u64> {
        let now = self.history.now;
        let generation = self.history.generation() + 1;
        let origin = Origin { started: now, in_turn: false, previous: self.history.stored() };
        let token = Token::new(&self.history.settings, generation, stated, origin, now)?;
        self.history.push(Fact::Stored { token, by: By::Caller });
        if let Some((fetch, ..)) = self.history.pending() {
            self.history.push(Fact::Ended { fetch, end: End::Stored { generation } });
        }
        self.events.push(EventInfo::Stored { generation, remaining: token.remaining(now) });
        Some(generation)
    }

    fn request(&mut self, runtime: usize, reason: FetchReason) -> Wait {
        let fetch = self.history.next_number();
        self.history.push(Fact::Requested { fetch, runtime, reason });
        Wait { fetch, since: self.history.now, soft_deadline: None }
    }

    /// A refresh that no caller has asked for.
    pub(crate) fn fetch_in_background(&mut self, runtime: usize) {
        self.request(runtime, self.reason());
    }

    fn join(&self) -> Option<Found> {
        let (fetch, ..) = self.history.pending()?;
        Some(Found::Wait(Wait { fetch, since: self.history.now, soft_deadline: None }))
    }

    /// Runs the task of the fetch until it waits. `reply` is the answer of the source.
    ///
    /// A task that waits for its start notices a change of the wall clock within a few seconds, so it may have started.
    pub(crate) fn run_fetch(&mut self, has_started: bool, reply: Option<Reply>) {
        let Some((fetch, _, reason)) = self.history.pending() else { return };
        if self.history.started(fetch).is_none() {
            let is_paced = if reason == FetchReason::Requested {
                !self.history.until_next_refresh().is_zero()
            } else {
                !self.history.until_next_attempt().is_zero()
            };
            if is_paced || (self.history.may_start_late() && !has_started) {
                return;
            }
            self.history.push(Fact::Started { fetch });
            self.events.push(EventInfo::Started(reason));
        }
        let Some(started) = self.history.started(fetch) else { return };
        let end = match reply {
            Some(Reply::Token(stated)) => self.answered(fetch, reason, started, stated),
            Some(Reply::Failure(failure)) => End::Failed(failure),
            None if self.history.is_overdue() => End::Failed(failure(ErrorKind::TimedOut)),
            None => return,
        };
        let took = self.history.now.monotonic() - started.monotonic();
        self.history.push(Fact::Ended { fetch, end });
        match end {
            End::Stored { .. } => {
                let remaining = self.history.stored().and_then(|token| token.remaining(self.history.now));
                let generation = self.history.generation();
                self.events.push(EventInfo::Succeeded { generation, remaining, took });
            }
            End::Failed(failure) => {
                let retry_after = self.history.until_next_attempt();
                self.history.push(Fact::Reported { fetch, retry_after });
                let error = ErrorInfo { kind: failure.kind, cause: failure.cause, retry_after: Some(retry_after) };
                self.events.push(EventInfo::Failed { error, failures: self.history.failures(), took });
            }
            End::Discarded | End::Lost => {}
        }
    }

    fn answered(&mut self, fetch: usize, reason: FetchReason, started: TimePoint, stated: Stated) -> End {
        let (history, now) = (&self.history, self.history.now);
        let generation = history.generation() + 1;
        let in_turn = reason == FetchReason::NearExpiry && history.failures() == 0;
        let origin = Origin { started, in_turn, previous: history.stored() };
        let Some(token) = Token::new(&history.settings, generation, stated, origin, now) else {
            return End::Failed(failure(ErrorKind::AlreadyExpired));
        };
        let is_same = history.rejected().is_some_and(|rejected| self.is_same(rejected, stated.secret));
        let began_before = history.began_before_rejection(fetch);
        if began_before && (is_same || !history.settings.token_eq) {
            return End::Discarded;
        }
        let fresh = history.usable(Duration::ZERO).filter(|stored| stored.freshness(now) == Freshness::Fresh);
        let keeps = reason == FetchReason::TooShort
            && !history.is_being_replaced()
            && fresh.is_some_and(|stored| !outlives(token.remaining(now), stored.remaining(now), Duration::ZERO));
        self.history.push(Fact::Answered { expires: token.expires });
        if keeps {
            return End::Stored { generation: self.history.generation() };
        }
        self.history.push(Fact::Stored { token, by: By::Fetch });
        End::Stored { generation }
    }

    fn is_same(&self, one: Secret, other: Secret) -> bool {
        self.history.settings.token_eq && one.value == other.value
    }

    /// A runtime is dropped, and with it its fetch.
    pub(crate) fn drop_runtime(&mut self, runtime: usize) {
        if let Some((fetch, _, _)) = self.history.pending().filter(|(_, r, _)| *r == runtime) {
            self.history.push(Fact::Ended { fetch, end: End::Lost });
        }
    }

    fn usable(&self, min_remaining: Duration) -> Option<Outcome> {
        self.history.usable(min_remaining).map(found)
    }

    /// Serves an expired token.
    fn stale(&mut self) -> Option<Outcome> {
        let token = *self.history.stale()?;
        self.served_expired.push(token.generation);
        Some(found(&token))
    }

    /// The last error, while its backoff lasts.
    fn refusal(&self) -> Option<Outcome> {
        let (_, failure) = self.history.last_failure()?;
        let wait = Some(self.history.until_next_attempt()).filter(|wait| !wait.is_zero())?;
        Some(Outcome::Error(ErrorInfo { kind: failure.kind, cause: failure.cause, retry_after: Some(wait) }))
    }
}

impl Caller {
    pub(crate) const fn new(place: Place, demand: Demand) -> Self {
        Self { place, demand, gets: matches!(demand, Demand::Get { .. }), brought: None, converted: None, waits: None }
    }
}

impl Demand {
    pub(crate) const fn min_remaining(&self) -> Duration {
        match self {
            Self::Get { min_remaining, .. } => *min_remaining,
            _ => Duration::ZERO,
        }
    }
}

pub(crate) const fn failure(kind: ErrorKind) -> Failure {
    Failure { kind, cause: None, retry_after: None }
}

fn found(token: &Token) -> Outcome {
    Outcome::Token { generation: token.generation }
}

const fn error(kind: ErrorKind) -> Outcome {
    Outcome::Error(ErrorInfo { kind, cause: None, retry_after: None })
}

/// The time from `start` to `end`, on the clock that has advanced more.
fn elapsed(start: TimePoint, end: TimePoint) -> Duration {
    let wall = end.wall().duration_since(start.wall()).unwrap_or_default();
    end.monotonic().saturating_sub(start.monotonic()).max(wall)
}
