//! The contract once more, as plainly as can be: no locks, no tasks, no published word, one thing after the other.
//!
//! What it cannot know is how far the cache spreads a backoff: there it knows the earliest and the latest, and is told.

use std::time::{Duration, SystemTime};

use token_cache_core::{ErrorKind, FetchReason, Freshness, TimePoint};

use crate::program::{Buffer, Place, Settings};

pub(crate) struct Reference {
    pub(crate) settings: Settings,
    pub(crate) now: TimePoint,
    pub(crate) held: Option<Held>,
    /// How many tokens have been stored; the number of the last.
    pub(crate) generation: usize,
    /// How many fetches have begun.
    pub(crate) fetches: usize,
    pub(crate) flight: Option<Flight>,
    /// How each flight ended, by its number.
    landings: Vec<Option<Landing>>,
    last_start: Option<Duration>,
    pub(crate) failure: Option<Failure>,
    rejected: bool,
    /// What has happened since somebody looked.
    pub(crate) events: Vec<Happened>,
}

/// A stored token.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) generation: usize,
    pub(crate) value: u32,
    /// `None`: never.
    pub(crate) end: Option<End>,
    refresh_at: Option<End>,
    buffer: Duration,
    min_ttl: Duration,
    stored: TimePoint,
}

/// An instant, on both hands of the clock. It has come when either has reached it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    monotonic: Duration,
    wall: SystemTime,
}

pub(crate) struct Flight {
    number: usize,
    runtime: usize,
    reason: FetchReason,
    not_before: Duration,
    started: Option<TimePoint>,
    /// Until when those wait for it who hold a token that is too short.
    patience: Option<Duration>,
}

pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) in_a_row: u32,
    at: TimePoint,
    not_before: Duration,
}

/// An error, by what can be told of it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    /// The number of the source's own error.
    pub(crate) cause: Option<u32>,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Landing {
    Stored,
    Failed(Refusal),
    Lost,
}

/// What the source says.
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

/// Someone who has called and has no answer yet.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) place: Place,
    pub(crate) want: Duration,
    pub(crate) refreshes: bool,
    waits: Option<Wait>,
}

#[derive(Clone, Copy)]
struct Wait {
    flight: usize,
    until: Option<Duration>,
    launched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Token { generation: usize },
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Started(FetchReason),
    Succeeded { generation: usize, remaining: Option<Duration>, took: Duration },
    Failed(Refusal, Duration),
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
            held: None,
            generation: 0,
            fetches: 0,
            flight: None,
            landings: Vec::new(),
            last_start: None,
            failure: None,
            rejected: false,
            events: Vec::new(),
        }
    }

    /// Lets a caller go on as far as it can.
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
            match self.landings[wait.flight] {
                None if wait.until.is_none_or(|until| self.now.monotonic() < until) => return None,
                landing => {
                    if let Some(outcome) = self.after(caller, landing, wait.launched) {
                        return Some(outcome);
                    }
                    caller.waits = None;
                    // Its fetch went well, and the token is gone already: it wants one like all others.
                    caller.refreshes &= !matches!(landing, Some(Landing::Stored));
                }
            }
        }
    }

    /// What there is for one who has waited until the landing, or as long as it would. `None`: it has to ask again.
    fn after(&self, caller: &Caller, landing: Option<Landing>, launched: bool) -> Option<Outcome> {
        let lasting = self.usable(caller.want).map(token);
        match landing {
            Some(Landing::Failed(refusal)) if caller.refreshes => Some(Outcome::Refused(refusal)),
            Some(Landing::Lost) if caller.refreshes => launched.then(|| refused(ErrorKind::NoRuntime)),
            _ if lasting.is_some() => lasting,
            Some(Landing::Failed(refusal)) => Some(Outcome::Refused(refusal)),
            Some(Landing::Stored) => self.usable(Duration::ZERO).map(|_| refused(ErrorKind::TooShort)),
            Some(Landing::Lost) => launched.then(|| refused(ErrorKind::NoRuntime)),
            None => None,
        }
    }

    fn get(&mut self, caller: &Caller) -> Decision {
        let Some(held) = self.usable(caller.want) else { return self.get_with_nothing(caller) };
        let here = Decision::Now(token(held));
        let due = self.is_due();
        match (held.freshness(self.now), caller.place) {
            (Freshness::NearExpiry, Place::Runtime(runtime)) if due && self.flight.is_none() => {
                self.launch(runtime, FetchReason::NearExpiry);
                here
            }
            (Freshness::TooShort, Place::Runtime(runtime)) => {
                let launched = due && self.flight.is_none();
                if launched {
                    self.launch(runtime, FetchReason::TooShort);
                }
                let a_tenth = held.left(self.now).map_or(Duration::ZERO, |left| left / 10);
                let now = self.now.monotonic();
                match &mut self.flight {
                    None => here,
                    Some(flight) => {
                        let until = *flight.patience.get_or_insert(now + a_tenth);
                        if now < until {
                            Decision::Wait(Wait { flight: flight.number, until: Some(until), launched })
                        } else {
                            here
                        }
                    }
                }
            }
            _ => here,
        }
    }

    fn get_with_nothing(&mut self, caller: &Caller) -> Decision {
        if let Some(flight) = &self.flight {
            return Decision::Wait(Wait { flight: flight.number, until: None, launched: false });
        }
        if !self.is_due() {
            if let Some(refusal) = self.last_refusal() {
                return Decision::Now(Outcome::Refused(refusal));
            }
            // The source has just shown how long its tokens live.
            let shown = self.held.and_then(|held| held.left(held.stored));
            if shown.is_some_and(|shown| shown < caller.want) {
                return Decision::Now(refused(ErrorKind::TooShort));
            }
        }
        let Place::Runtime(runtime) = caller.place else { return Decision::Now(refused(ErrorKind::NoRuntime)) };
        let reason = match self.held {
            Some(held) if held.freshness(self.now) != Freshness::Expired => FetchReason::TooShort,
            Some(_) => FetchReason::Expired,
            None if self.rejected => FetchReason::Invalidated,
            None => FetchReason::Empty,
        };
        let flight = self.launch(runtime, reason);
        Decision::Wait(Wait { flight, until: None, launched: true })
    }

    fn refresh(&mut self, caller: &Caller) -> Decision {
        if let Some(flight) = &self.flight {
            return Decision::Wait(Wait { flight: flight.number, until: None, launched: false });
        }
        match (self.is_due(), caller.place) {
            (true, Place::Runtime(runtime)) => {
                let flight = self.launch(runtime, FetchReason::Requested);
                Decision::Wait(Wait { flight, until: None, launched: true })
            }
            (true, Place::Outside) => Decision::Now(refused(ErrorKind::NoRuntime)),
            (false, _) => match (self.last_refusal(), self.usable(Duration::ZERO)) {
                (Some(refusal), _) => Decision::Now(Outcome::Refused(refusal)),
                (None, Some(held)) => Decision::Now(token(held)),
                (None, None) => self.get_with_nothing(caller),
            },
        }
    }

    fn launch(&mut self, runtime: usize, reason: FetchReason) -> usize {
        let (number, not_before) = (self.landings.len(), self.next_attempt());
        self.landings.push(None);
        self.flight = Some(Flight { number, runtime, reason, not_before, started: None, patience: None });
        number
    }

    /// Lets the flight go on as far as it can. `reply` is what the source has said, and `next_attempt` how long the cache
    /// would leave it alone from now on if that was a failure.
    pub(crate) fn fly(&mut self, reply: Option<Reply>, next_attempt: Duration) -> Result<(), String> {
        let Some(flight) = &mut self.flight else { return Ok(()) };
        if flight.started.is_none() && self.now.monotonic() >= flight.not_before {
            flight.started = Some(self.now);
            self.last_start = Some(self.now.monotonic());
            self.fetches += 1;
            self.events.push(Happened::Started(flight.reason));
        }
        let Some(started) = flight.started else { return Ok(()) };
        let number = flight.number;
        let late = self.now.monotonic() >= started.monotonic() + self.settings.fetch_timeout;
        let landing = match reply {
            Some(Reply::Token { value, end, refresh_at }) => {
                match Held::new(&self.settings, self.generation + 1, value, end, refresh_at, started, self.now) {
                    Some(held) => self.store(held, started),
                    None => self.fail(ErrorKind::AlreadyExpired, None, started, next_attempt)?,
                }
            }
            Some(Reply::Failure { kind, cause }) => self.fail(kind, cause, started, next_attempt)?,
            None if late => self.fail(ErrorKind::TimedOut, None, started, next_attempt)?,
            None => return Ok(()),
        };
        self.landings[number] = Some(landing);
        self.flight = None;
        Ok(())
    }

    fn store(&mut self, held: Held, started: TimePoint) -> Landing {
        self.generation = held.generation;
        self.held = Some(held);
        self.failure = None;
        self.rejected = false;
        let took = self.now.monotonic() - started.monotonic();
        let remaining = held.left(self.now);
        self.events.push(Happened::Succeeded { generation: held.generation, remaining, took });
        Landing::Stored
    }

    fn fail(
        &mut self,
        kind: ErrorKind,
        cause: Option<u32>,
        started: TimePoint,
        next_attempt: Duration,
    ) -> Result<Landing, String> {
        let in_a_row = self.failure.as_ref().map_or(1, |failure| failure.in_a_row + 1);
        let refusal = Refusal { kind, cause, retry_after: Some(next_attempt) };
        self.failure = Some(Failure { refusal, in_a_row, at: self.now, not_before: Duration::ZERO });
        self.take_next_attempt(next_attempt, Duration::MAX)?;
        self.events.push(Happened::Failed(refusal, self.now.monotonic() - started.monotonic()));
        Ok(Landing::Failed(refusal))
    }

    /// Takes over when the cache says it will ask again, if that lies where it should: not after what it has `promised`.
    fn take_next_attempt(&mut self, next_attempt: Duration, promised: Duration) -> Result<(), String> {
        let (settings, now) = (&self.settings, self.now.monotonic());
        let Some(failure) = &mut self.failure else { return Ok(()) };
        // What there was to hand out when the fetch failed: nothing, or a token with so much left.
        let left = self.held.map_or(Some(Duration::ZERO), |held| held.left(failure.at));
        let nothing_to_serve = left == Some(Duration::ZERO);
        let cap =
            if nothing_to_serve { settings.max_backoff.min(Duration::from_secs(5)) } else { settings.max_backoff };
        let doubled = 2_u32.saturating_pow(failure.in_a_row);
        let longest = settings.min_refresh_interval.saturating_mul(doubled).min(cap);
        let half_of_left = if nothing_to_serve { Duration::MAX } else { left.map_or(Duration::MAX, |left| left / 2) };
        let paced = self.last_start.unwrap_or_default() + settings.min_refresh_interval;
        let after = |backoff: Duration| paced.max(failure.at.monotonic() + backoff.min(half_of_left)).min(promised);
        let (earliest, latest) = (after(longest / 2), after(longest));
        let next = now + next_attempt;
        if next < earliest.max(now) || next > latest.max(now) + Duration::from_nanos(1) {
            return Err(format!(
                "P8: after {} failures in a row, with {left:?} left, the next attempt is in {next_attempt:?}, \
                 which is not between {:?} and {:?}",
                failure.in_a_row,
                earliest.saturating_sub(now),
                latest.saturating_sub(now)
            ));
        }
        failure.not_before = next;
        Ok(())
    }

    /// A caller rejects the token of a generation.
    pub(crate) fn invalidate(&mut self, generation: usize) -> bool {
        let stored = self.held.take_if(|held| held.generation == generation).is_some();
        if stored {
            self.rejected = true;
            self.events.push(Happened::Invalidated { generation });
        }
        stored
    }

    /// With nothing left to hand out the backoff may have become shorter.
    pub(crate) fn after_rejection(&mut self, next_attempt: Duration) -> Result<(), String> {
        self.take_next_attempt(next_attempt, self.next_attempt())
    }

    /// A runtime goes away, and with it what it flies.
    pub(crate) fn lose_runtime(&mut self, runtime: usize) {
        if let Some(flight) = self.flight.take_if(|flight| flight.runtime == runtime) {
            self.landings[flight.number] = Some(Landing::Lost);
        }
    }

    /// The stored token, if it has not expired and lasts for `want`.
    pub(crate) fn usable(&self, want: Duration) -> Option<Held> {
        let held = self.held.filter(|held| held.freshness(self.now) != Freshness::Expired)?;
        held.left(self.now).is_none_or(|left| left >= want).then_some(held)
    }

    pub(crate) fn freshness(&self) -> Freshness {
        self.held.map_or(Freshness::Empty, |held| held.freshness(self.now))
    }

    /// The earliest instant at which a fetch may begin.
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

    fn last_refusal(&self) -> Option<Refusal> {
        let failure = self.failure.as_ref()?;
        Some(Refusal { retry_after: Some(self.until_next_attempt()), ..failure.refusal })
    }

    /// How far ahead the instants are at which something changes.
    /// Whether the fetch under way is at the end of its time.
    pub(crate) fn is_overdue(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| {
            let start = flight.started.map_or(flight.not_before, |started| started.monotonic());
            self.now.monotonic() >= start + self.settings.fetch_timeout
        })
    }

    pub(crate) fn ahead(&self) -> Vec<Duration> {
        let now = self.now.monotonic();
        let mut instants = vec![self.until_next_attempt()];
        if let Some(held) = self.held {
            let left = held.left(self.now);
            instants.extend(left);
            instants.extend(left.map(|left| left.saturating_sub(held.min_ttl)));
            instants.extend(left.map(|left| left.saturating_sub(held.buffer)));
            instants.extend(held.refresh_at.map(|end| end.left(self.now)));
        }
        if let Some(flight) = &self.flight {
            let timeout = flight.started.map(|started| started.monotonic() + self.settings.fetch_timeout);
            instants.extend(timeout.map(|end| end.saturating_sub(now)));
            instants.extend(flight.patience.map(|end| end.saturating_sub(now)));
            instants.push(flight.not_before.saturating_sub(now));
        }
        instants.retain(|span| !span.is_zero());
        instants
    }
}

impl Held {
    /// `None`: it had expired on its way.
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
            Expiry::At(wall) => Some(End::at(wall, started)),
            Expiry::In(lifetime) => Some(End::at(started.wall() + lifetime, started)),
            Expiry::Never => None,
        };
        let lifetime = end.map_or(Duration::ZERO, |end| end.left(started));
        let buffer = match settings.expiry_buffer {
            Buffer::Fixed(span) => span.min(lifetime / 2),
            Buffer::Share(percent) => lifetime * percent / 100,
        };
        let min_ttl = settings.min_ttl.min(lifetime / 4);
        let refresh_at = refresh_at.map(|wall| End::at(wall, started));
        let held = Self { generation, value, end, refresh_at, buffer, min_ttl, stored: now };
        (held.freshness(now) != Freshness::Expired).then_some(held)
    }

    pub(crate) fn left(&self, now: TimePoint) -> Option<Duration> {
        self.end.map(|end| end.left(now))
    }

    pub(crate) fn age(&self, now: TimePoint) -> Duration {
        now.monotonic() - self.stored.monotonic()
    }

    /// What it had left when it was stored.
    pub(crate) fn whole(&self) -> Option<Duration> {
        self.left(self.stored)
    }

    fn freshness(&self, now: TimePoint) -> Freshness {
        let left = self.left(now);
        let within = |span| left.is_some_and(|left| left <= span);
        let refreshed = match self.refresh_at {
            Some(end) => end.left(now).is_zero(),
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

impl End {
    /// At `wall`, and on the other hand as far from `started` as that is. One that lies before has been on both.
    fn at(wall: SystemTime, started: TimePoint) -> Self {
        match wall.duration_since(started.wall()) {
            Ok(span) => Self { monotonic: started.monotonic() + span, wall },
            Err(_) => Self { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH },
        }
    }

    fn left(&self, now: TimePoint) -> Duration {
        let wall = self.wall.duration_since(now.wall()).unwrap_or_default();
        self.monotonic.saturating_sub(now.monotonic()).min(wall)
    }
}

impl Caller {
    pub(crate) const fn new(place: Place, want: Duration, refreshes: bool) -> Self {
        Self { place, want, refreshes, waits: None }
    }
}

fn token(held: Held) -> Outcome {
    Outcome::Token { generation: held.generation }
}

fn refused(kind: ErrorKind) -> Outcome {
    Outcome::Refused(Refusal { kind, cause: None, retry_after: None })
}
