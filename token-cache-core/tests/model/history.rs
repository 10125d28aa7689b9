//! What has happened to a cache, in order, and what follows from that for the present.
//!
//! Nothing is computed in advance and kept: every question is answered from the facts and the current time.

use std::time::Duration;

use token_cache_core::{ErrorKind, FetchReason, Freshness, TimePoint};

use crate::program::Settings;
use crate::token::{Deadline, Secret, Token};

pub(crate) struct History {
    pub(crate) settings: Settings,
    pub(crate) now: TimePoint,
    facts: Vec<(TimePoint, Fact)>,
}

#[derive(Clone, Copy)]
pub(crate) enum Fact {
    /// The wall clock was set, or the machine was suspended.
    WallMoved,
    /// A caller needs a fetch. It starts when the pacing allows and its runtime runs it.
    Requested {
        fetch: usize,
        runtime: usize,
        reason: FetchReason,
    },
    Started {
        fetch: usize,
    },
    /// A caller with a usable token waits for a fetch, until then.
    WaitsUntil {
        fetch: usize,
        monotonic: Duration,
    },
    /// The source has returned a token, which may be stored.
    Answered {
        expires: Option<Deadline>,
    },
    Ended {
        fetch: usize,
        end: End,
    },
    /// The failure of a fetch was reported, with the time until the next attempt.
    Reported {
        fetch: usize,
        retry_after: Duration,
    },
    Stored {
        token: Token,
        by: By,
    },
    /// A rejection was accepted. `removes`: nobody gets the token any more. `again`: it was rejected before, and is not counted.
    Rejected {
        generation: u64,
        secret: Secret,
        removes: bool,
        again: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `initial`, which is no fetch.
    Builder,
    Caller,
    Fetch,
}

/// How a fetch ended.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// Its token is stored, or one that a caller stored meanwhile, or the one before, which is valid for longer.
    Stored {
        generation: u64,
    },
    /// It returned, or may have returned, a token that was rejected while it ran.
    Discarded,
    Failed(Failure),
    /// Its runtime ended.
    Lost,
}

#[derive(Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    /// The number of the source's own error.
    pub(crate) cause: Option<u32>,
    /// What the issuer asked for.
    pub(crate) retry_after: Option<Duration>,
}

impl History {
    pub(crate) fn new(settings: Settings, now: TimePoint) -> Self {
        Self { settings, now, facts: Vec::new() }
    }

    pub(crate) fn push(&mut self, fact: Fact) {
        self.facts.push((self.now, fact));
    }

    fn newest<R>(&self, find: impl FnMut(&(TimePoint, Fact)) -> Option<R>) -> Option<R> {
        self.facts.iter().rev().find_map(find)
    }

    fn position(&self, find: impl FnMut(&(TimePoint, Fact)) -> bool) -> Option<usize> {
        self.facts.iter().rposition(find)
    }

    // Tokens.

    /// The token stored last, also if it was rejected or has expired.
    pub(crate) fn last_token(&self) -> Option<&Token> {
        self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Stored { token, .. } => Some(token),
            _ => None,
        })
    }

    pub(crate) fn token(&self, generation: u64) -> Option<&Token> {
        self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Stored { token, .. } if token.generation == generation => Some(token),
            _ => None,
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.last_token().map_or(0, |token| token.generation)
    }

    /// The token stored last, unless it was rejected by `invalidate`.
    pub(crate) fn stored(&self) -> Option<&Token> {
        let token = self.last_token()?;
        let removed = |(_, fact): &(_, Fact)| matches!(fact, Fact::Rejected { generation, removes: true, .. } if *generation == token.generation);
        (!self.facts.iter().rev().any(removed)).then_some(token)
    }

    /// The stored token, if it has not expired and is valid for `min_remaining`.
    pub(crate) fn usable(&self, min_remaining: Duration) -> Option<&Token> {
        self.stored().filter(|token| token.has(min_remaining, self.now))
    }

    pub(crate) fn freshness(&self) -> Freshness {
        self.stored().map_or(Freshness::Empty, |token| token.freshness(self.now))
    }

    /// The expired token that callers get while the source is down (RFC 5861).
    pub(crate) fn stale(&self) -> Option<&Token> {
        let (at, failure) = self.last_failure()?;
        let known_for = self.settings.max_backoff() + self.settings.fetch_timeout;
        let token = self.stored()?;
        let until = token.expires?.later(self.settings.stale_if_error);
        let running = self.pending().and_then(|(fetch, ..)| self.started(fetch));
        let is_known = self.since(at) < known_for || running.is_some_and(|started| between(at, started) < known_for);
        let is_down = failure.kind != ErrorKind::Permanent && is_known;
        let is_stale = !self.is_being_replaced()
            && token.freshness(self.now) == Freshness::Expired
            && !until.remaining(self.now).is_zero();
        (is_down && is_stale).then_some(token)
    }

    // Rejections.

    fn rejection(&self) -> Option<(usize, Secret)> {
        let stored = self.position(|(_, fact)| matches!(fact, Fact::Stored { .. }))?;
        let rejected = self.position(|(_, fact)| matches!(fact, Fact::Rejected { .. })).filter(|at| *at > stored)?;
        match self.facts[rejected].1 {
            Fact::Rejected { secret, .. } => Some((rejected, secret)),
            _ => None,
        }
    }

    /// The token that was stored last, if it was rejected.
    pub(crate) fn rejected(&self) -> Option<Secret> {
        self.rejection().map(|(_, secret)| secret)
    }

    /// Whether the fetch had started when that token was rejected.
    pub(crate) fn began_before_rejection(&self, fetch: usize) -> bool {
        let started = self.position(|(_, fact)| matches!(fact, Fact::Started { fetch: f } if *f == fetch));
        started.zip(self.rejection()).is_some_and(|(started, (rejected, _))| started < rejected)
    }

    /// Whether the stored token was rejected, by a caller of `replace`.
    pub(crate) fn is_being_replaced(&self) -> bool {
        self.stored().is_some_and(|token| {
            self.facts
                .iter()
                .rev()
                .any(|(_, fact)| matches!(fact, Fact::Rejected { generation, .. } if *generation == token.generation))
        })
    }

    /// The time until a rejection of the stored token is accepted. It doubles with each rejection, unless the last token was
    /// not rejected for twice the `max_backoff`.
    pub(crate) fn until_next_rejection(&self) -> Duration {
        let mut last: Option<TimePoint> = None;
        let mut count = 0;
        for (at, fact) in &self.facts {
            if let Fact::Rejected { again: false, .. } = fact {
                let is_first = last.is_none_or(|last| between(last, *at) > 2 * self.settings.max_backoff());
                count = if is_first { 1 } else { count + 1 };
                last = Some(*at);
            }
        }
        last.map_or(Duration::ZERO, |last| self.settings.doubled(count).saturating_sub(self.since(last)))
    }

    pub(crate) fn was_rejected(&self) -> bool {
        self.newest(|(_, fact)| match fact {
            Fact::Rejected { removes, .. } => Some(*removes),
            Fact::Stored { .. } => Some(false),
            _ => None,
        })
        .unwrap_or(false)
    }

    // Fetches.

    pub(crate) fn fetches(&self) -> usize {
        self.facts.iter().filter(|(_, fact)| matches!(fact, Fact::Started { .. })).count()
    }

    /// The number of the next fetch.
    pub(crate) fn next_number(&self) -> usize {
        self.facts.iter().filter(|(_, fact)| matches!(fact, Fact::Requested { .. })).count()
    }

    /// The fetch that was requested and has not ended, its runtime and its reason.
    pub(crate) fn pending(&self) -> Option<(usize, usize, FetchReason)> {
        self.newest(|(_, fact)| match fact {
            Fact::Requested { fetch, runtime, reason } => Some(Some((*fetch, *runtime, *reason))),
            Fact::Ended { .. } => Some(None),
            _ => None,
        })
        .flatten()
    }

    pub(crate) fn started(&self, fetch: usize) -> Option<TimePoint> {
        self.newest(|(at, fact)| matches!(fact, Fact::Started { fetch: f } if *f == fetch).then_some(*at))
    }

    pub(crate) fn end(&self, fetch: usize) -> Option<End> {
        self.newest(|(_, fact)| match fact {
            Fact::Ended { fetch: f, end } if *f == fetch => Some(*end),
            _ => None,
        })
    }

    /// What a failed fetch has reported as the time until the next attempt.
    pub(crate) fn reported(&self, fetch: usize) -> Option<Duration> {
        self.newest(|(_, fact)| match fact {
            Fact::Reported { fetch: f, retry_after } if *f == fetch => Some(*retry_after),
            _ => None,
        })
    }

    pub(crate) fn soft_deadline(&self, fetch: usize) -> Option<Duration> {
        self.newest(|(_, fact)| match fact {
            Fact::WaitsUntil { fetch: f, monotonic } if *f == fetch => Some(*monotonic),
            _ => None,
        })
    }

    /// Whether the fetch has timed out.
    pub(crate) fn is_overdue(&self) -> bool {
        let Some((fetch, ..)) = self.pending() else { return false };
        self.started(fetch)
            .is_some_and(|started| self.now.monotonic() >= started.monotonic() + self.settings.fetch_timeout)
    }

    // Pacing.

    /// The time since then, by the clock that has advanced more.
    fn since(&self, at: TimePoint) -> Duration {
        between(at, self.now)
    }

    /// The failures since the last success, newest first.
    fn consecutive_failures(&self) -> impl Iterator<Item = (TimePoint, Failure)> {
        self.facts
            .iter()
            .rev()
            .take_while(|(_, fact)| match fact {
                Fact::Stored { .. } => false,
                Fact::Ended { end, .. } => matches!(end, End::Failed(_) | End::Lost),
                _ => true,
            })
            .filter_map(|(at, fact)| match fact {
                Fact::Ended { end: End::Failed(failure), .. } => Some((*at, *failure)),
                _ => None,
            })
    }

    pub(crate) fn failures(&self) -> usize {
        self.consecutive_failures().count()
    }

    pub(crate) fn last_failure(&self) -> Option<(TimePoint, Failure)> {
        self.consecutive_failures().next()
    }

    fn last_start(&self) -> Option<TimePoint> {
        self.newest(|(at, fact)| match fact {
            Fact::Started { .. } | Fact::Stored { by: By::Caller, .. } => Some(*at),
            _ => None,
        })
    }

    /// The time until the end of an interval from the last start.
    pub(crate) fn until_after_last_start(&self, interval: Duration) -> Duration {
        self.last_start().map_or(Duration::ZERO, |last| interval.saturating_sub(self.since(last)))
    }

    fn interval(&self) -> Duration {
        self.until_after_last_start(self.settings.min_refresh_interval)
    }

    /// The time until the next attempt, by the failures and by what can be returned now.
    fn backoff(&self) -> Duration {
        let Some((at, failure)) = self.last_failure() else { return Duration::ZERO };
        let settings = &self.settings;
        let first = self.consecutive_failures().last().map_or(at, |(first, _)| first);
        let full = settings.doubled(self.failures());
        let sample = settings.jitter_sample;
        let spread = |limit: Duration, least: Duration| least + (limit - least).mul_f64(sample);
        let stale = self.stale().and_then(|token| token.expires).map(|expires| expires.later(settings.stale_if_error));
        let backoff = if let Some(token) = self.usable(Duration::ZERO) {
            let half = token.remaining(at).map_or(Duration::MAX, |remaining| remaining / 2);
            spread(full, full / 2).min(half)
        } else if let Some(until) = stale {
            spread(full, full / 2).min(until.remaining(at) / 2)
        } else if failure.kind == ErrorKind::Permanent {
            spread(full, full / 2)
        } else {
            let limit = (between(first, at) / 10).clamp(Duration::from_secs(5), Duration::from_secs(60)).min(full);
            spread(limit, limit / 10)
        };
        backoff.max(failure.retry_after.unwrap_or_default()).saturating_sub(self.since(at))
    }

    /// For how long the last token of the source was valid when it arrived. `None` if that is not known, or has no end.
    pub(crate) fn last_lifetime(&self) -> Option<Duration> {
        self.newest(|(at, fact)| match fact {
            Fact::Answered { expires } => Some(expires.map(|expires| expires.remaining(*at))),
            _ => None,
        })
        .flatten()
    }

    /// Whether a task that waits for the end of the interval may not have noticed that it is over. It is over on the wall
    /// clock only, and was not when the task last looked, which it does every few seconds.
    pub(crate) fn may_start_late(&self) -> bool {
        let Some(last) = self.last_start() else { return false };
        let interval = self.settings.min_refresh_interval;
        let wall = self.now.wall().duration_since(last.wall()).unwrap_or_default();
        let moved = self.newest(|(at, fact)| matches!(fact, Fact::WallMoved).then_some(at.monotonic()));
        let has_just_moved = moved.is_some_and(|moved| self.now.monotonic() < moved + LATE);
        let is_just_over = wall < interval + LATE;
        self.now.monotonic() < last.monotonic() + interval && (has_just_moved || is_just_over)
    }

    pub(crate) fn until_next_attempt(&self) -> Duration {
        self.interval().max(self.backoff())
    }

    /// An explicit `refresh()` does not wait for the end of a permanent error, nor for what the issuer asked for.
    pub(crate) fn until_next_refresh(&self) -> Duration {
        match self.last_failure() {
            Some((_, failure)) if failure.kind == ErrorKind::Permanent || failure.retry_after.is_some() => {
                self.interval()
            }
            _ => self.until_next_attempt(),
        }
    }

    /// The time until each deadline that is not reached.
    pub(crate) fn deadlines(&self) -> Vec<Duration> {
        let now = self.now.monotonic();
        let mut deadlines = vec![self.until_next_attempt()];
        if let Some(token) = self.stored() {
            deadlines.extend(token.deadlines(self.now));
            let stale = token.expires.map(|expires| expires.later(self.settings.stale_if_error));
            deadlines.extend(stale.map(|until| until.remaining(self.now)));
        }
        if let Some((fetch, ..)) = self.pending() {
            let timeout = self.started(fetch).map(|started| started.monotonic() + self.settings.fetch_timeout);
            deadlines.extend(timeout.map(|end| end.saturating_sub(now)));
            deadlines.extend(self.soft_deadline(fetch).map(|end| end.saturating_sub(now)));
        }
        deadlines.retain(|duration| !duration.is_zero());
        deadlines
    }
}

/// The time from one to the other, by the clock that has advanced more.
fn between(start: TimePoint, end: TimePoint) -> Duration {
    let wall = end.wall().duration_since(start.wall()).unwrap_or_default();
    end.monotonic().saturating_sub(start.monotonic()).max(wall)
}

impl Settings {
    pub(crate) fn max_backoff(&self) -> Duration {
        self.max_backoff.max(MIN_INTERVAL)
    }

    /// The interval, doubled with each failure.
    fn doubled(&self, times: usize) -> Duration {
        let base = self.min_refresh_interval.max(MIN_INTERVAL);
        let factor = u32::try_from(times).ok().and_then(|times| 2_u32.checked_pow(times)).unwrap_or(u32::MAX);
        base.saturating_mul(factor).min(self.max_backoff())
    }
}

/// How late a task may notice a change of the wall clock.
const LATE: Duration = Duration::from_secs(5);

/// The pacing after failures, if there is no interval.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
