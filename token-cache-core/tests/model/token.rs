//! A stored token and its times, as the contract words them.

use std::time::{Duration, SystemTime};

use token_cache_core::{Freshness, TimePoint};

use crate::program::{Buffer, Settings};

/// The secret. `value` is what `token_eq` compares; `serial` is different for each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) value: u32,
    pub(crate) serial: u32,
}

/// A token as the source states it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated {
    pub(crate) secret: Secret,
    pub(crate) expiry: Expiry,
    pub(crate) refresh_at: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    At(SystemTime),
    In(Duration),
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) generation: u64,
    pub(crate) secret: Secret,
    /// `None`: never.
    pub(crate) expires: Option<Deadline>,
    /// From when on it is refreshed in the background, and below which remaining time callers wait.
    near: Near,
    min_ttl: Duration,
    pub(crate) stored_at: TimePoint,
}

#[derive(Clone, Copy, Debug)]
enum Near {
    Below(Duration),
    From(Deadline),
}

/// How a token came to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The start of its fetch.
    pub(crate) started: TimePoint,
    /// Whether it was fetched by a refresh in the background, without a failure before.
    pub(crate) in_turn: bool,
    /// The token before it.
    pub(crate) previous: Option<&'a Token>,
}

/// A time on both clocks. It is reached when either clock reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    monotonic: Duration,
    wall: SystemTime,
}

impl Token {
    /// `None` if it has expired.
    pub(crate) fn new(
        settings: &Settings,
        generation: u64,
        stated: Stated,
        origin: Origin<'_>,
        now: TimePoint,
    ) -> Option<Self> {
        let expires = stated.expires(origin.started);
        let stored = Self {
            generation,
            secret: stated.secret,
            expires,
            near: Near::Below(Duration::ZERO),
            min_ttl: Duration::ZERO,
            stored_at: now,
        };
        let refresh_at = stated.refresh_at.map(|wall| Deadline::at(wall, origin.started));
        let refresh_at = refresh_at.filter(|at| !at.remaining(now).is_zero());
        let Some(expires) = expires else {
            return Some(Self { near: refresh_at.map_or(stored.near, Near::From), ..stored });
        };
        let remaining = expires.remaining(now);
        if remaining.is_zero() {
            return None;
        }
        let lifetime = expires.remaining(origin.started);
        let buffer = match settings.expiry_buffer {
            Buffer::Fixed(duration) => duration.min(lifetime / 2),
            Buffer::Percent(percent) => lifetime * percent / 100,
        };
        let min_ttl = settings.min_ttl.min(lifetime / 4);
        // The issuer has returned its last token again, or one that does not live longer. A second is lost where it states
        // whole seconds.
        let repeats =
            origin.previous.is_some_and(|previous| !outlives(Some(remaining), previous.remaining(now), SECOND));
        let fraction = settings.jitter * settings.jitter_sample;
        let lead = if settings.jitter == 0.0 || origin.in_turn || repeats {
            buffer + buffer.mul_f64(fraction)
        } else {
            // At a random point of its Fresh period, which ends where the average token becomes NearExpiry.
            let fresh = lifetime.saturating_sub(buffer + buffer.mul_f64(settings.jitter / 2.0));
            lifetime - fresh.mul_f64(settings.jitter_sample)
        };
        let by_buffer = Near::Below(buffer + buffer.mul_f64(fraction));
        let near = match refresh_at {
            Some(at) => {
                let at = at.later(at.until(expires).mul_f64(fraction));
                let is_earlier = at.remaining(now) < remaining.saturating_sub(lead);
                if repeats && is_earlier { by_buffer } else { Near::From(at) }
            }
            None => Near::Below(lead),
        };
        Some(Self { near, min_ttl, ..stored })
    }

    pub(crate) fn remaining(&self, now: TimePoint) -> Option<Duration> {
        self.expires.map(|expires| expires.remaining(now))
    }

    pub(crate) fn has(&self, min_remaining: Duration, now: TimePoint) -> bool {
        self.freshness(now) != Freshness::Expired
            && self.remaining(now).is_none_or(|remaining| remaining >= min_remaining)
    }

    /// Its remaining time when it was stored.
    pub(crate) fn was_valid_for(&self) -> Option<Duration> {
        self.remaining(self.stored_at)
    }

    pub(crate) fn freshness(&self, now: TimePoint) -> Freshness {
        let remaining = self.remaining(now).unwrap_or(Duration::MAX);
        let is_near = match self.near {
            Near::Below(lead) => remaining <= lead,
            Near::From(at) => at.remaining(now).is_zero(),
        };
        if remaining.is_zero() {
            Freshness::Expired
        } else if remaining <= self.min_ttl {
            Freshness::TooShort
        } else if is_near {
            Freshness::NearExpiry
        } else {
            Freshness::Fresh
        }
    }

    /// The time until each change of its freshness.
    pub(crate) fn deadlines(&self, now: TimePoint) -> impl Iterator<Item = Duration> {
        let remaining = self.remaining(now);
        let near = match self.near {
            Near::Below(lead) => remaining.map(|remaining| remaining.saturating_sub(lead)),
            Near::From(at) => Some(at.remaining(now)),
        };
        let min_ttl = self.min_ttl;
        [remaining, near, remaining.map(|remaining| remaining.saturating_sub(min_ttl))].into_iter().flatten()
    }
}

/// Whether a token with this remaining time is valid for longer than one with that, by more than a margin.
pub(crate) fn outlives(new: Option<Duration>, stored: Option<Duration>, margin: Duration) -> bool {
    stored.is_some_and(|stored| new.is_none_or(|new| new > stored + margin))
}

impl Stated {
    pub(crate) fn expires(&self, started: TimePoint) -> Option<Deadline> {
        match self.expiry {
            Expiry::At(wall) => Some(Deadline::at(wall, started)),
            Expiry::In(lifetime) => Some(Deadline::at(started.wall() + lifetime, started)),
            Expiry::Never => None,
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

    pub(crate) fn remaining(&self, now: TimePoint) -> Duration {
        let wall = self.wall.duration_since(now.wall()).unwrap_or_default();
        self.monotonic.saturating_sub(now.monotonic()).min(wall)
    }

    pub(crate) fn later(&self, duration: Duration) -> Self {
        Self { monotonic: self.monotonic + duration, wall: self.wall + duration }
    }

    fn until(&self, other: Self) -> Duration {
        other.monotonic.saturating_sub(self.monotonic)
    }
}

const SECOND: Duration = Duration::from_secs(1);
