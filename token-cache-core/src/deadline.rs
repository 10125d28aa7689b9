//! [`Deadline`]: a point in time that is kept on two clocks.

use std::cmp;
use std::time::{Duration, SystemTime};

use crate::clock::TimePoint;

/// A deadline in monotonic time and wall time. It is reached once one of the two is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    monotonic: Duration,
    /// `None` if the wall time does not matter, or is beyond the range of `SystemTime`.
    wall: Option<SystemTime>,
}

impl Deadline {
    /// Never reached.
    pub(crate) const NEVER: Self = Self { monotonic: Duration::MAX, wall: None };

    /// Always reached.
    pub(crate) const PAST: Self = Self { monotonic: Duration::ZERO, wall: None };

    /// A deadline that does not depend on the wall time, as pacing does not.
    pub(crate) const fn at_monotonic(monotonic: Duration) -> Self {
        Self { monotonic, wall: None }
    }

    /// `duration` after `start`.
    pub(crate) fn after(start: TimePoint, duration: Duration) -> Self {
        Self { monotonic: start.monotonic.saturating_add(duration), wall: start.wall.checked_add(duration) }
    }

    /// At the wall time `wall`, and at the monotonic time that is as far from `start`.
    pub(crate) fn at_wall(wall: SystemTime, start: TimePoint) -> Self {
        match wall.duration_since(start.wall) {
            Ok(duration) => Self::after(start, duration),
            Err(_) => Self { monotonic: Duration::ZERO, wall: Some(wall) },
        }
    }

    /// The same deadline, `duration` earlier.
    pub(crate) fn earlier_by(self, duration: Duration) -> Self {
        if self == Self::NEVER {
            return self;
        }
        match self.wall.map(|wall| wall.checked_sub(duration)) {
            Some(None) => Self::PAST,
            wall => Self { monotonic: self.monotonic.saturating_sub(duration), wall: wall.flatten() },
        }
    }

    /// The same deadline, `duration` later.
    pub(crate) fn later_by(self, duration: Duration) -> Self {
        Self {
            monotonic: self.monotonic.saturating_add(duration),
            wall: self.wall.and_then(|wall| wall.checked_add(duration)),
        }
    }

    /// The earlier of the two in monotonic time, and the earlier of the two in wall time.
    pub(crate) fn min(self, other: Self) -> Self {
        let wall = match (self.wall, other.wall) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { monotonic: self.monotonic.min(other.monotonic), wall }
    }

    /// The deadline at which both are reached, if both are reached on the same clock.
    pub(crate) fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::PAST, deadline) | (deadline, Self::PAST) => deadline,
            (one, two) => Self {
                monotonic: one.monotonic.max(two.monotonic),
                wall: one.wall.zip(two.wall).map(|(one, two)| one.max(two)),
            },
        }
    }

    /// The one that remains longer. They may have been set on different sides of a change of the wall clock, so neither clock
    /// alone tells which one that is.
    pub(crate) fn or_later(self, other: Self, now: TimePoint) -> Self {
        let remaining = |deadline: Self| (deadline.remaining(now).unwrap_or(Duration::MAX), deadline.monotonic);
        cmp::max_by_key(other, self, |&deadline| remaining(deadline))
    }

    /// The time from `earlier` to this deadline.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }

    /// The deadline in monotonic time.
    pub(crate) const fn monotonic(&self) -> Duration {
        self.monotonic
    }

    /// The deadline in wall time, if it has one.
    pub(crate) const fn wall(&self) -> Option<SystemTime> {
        self.wall
    }

    #[inline]
    pub(crate) fn not_reached(&self, now: TimePoint) -> bool {
        now.monotonic < self.monotonic && self.wall.is_none_or(|wall| now.wall < wall)
    }

    pub(crate) fn is_reached(&self, now: TimePoint) -> bool {
        !self.not_reached(now)
    }

    /// The time since the deadline was reached.
    pub(crate) fn elapsed(&self, now: TimePoint) -> Duration {
        let wall = self.wall.and_then(|wall| now.wall.duration_since(wall).ok());
        wall.unwrap_or_else(|| now.monotonic.saturating_sub(self.monotonic))
    }

    /// Whether it is not reached, and at least `duration` remains.
    pub(crate) fn is_valid_for(&self, duration: Duration, now: TimePoint) -> bool {
        self.not_reached(now) && self.has_at_least(duration, now)
    }

    /// Whether at least `duration` remains.
    pub(crate) fn has_at_least(&self, duration: Duration, now: TimePoint) -> bool {
        self.remaining(now).is_none_or(|remaining| remaining >= duration)
    }

    /// The time until the deadline, zero once it is reached. `None` if it never is.
    pub(crate) fn remaining(&self, now: TimePoint) -> Option<Duration> {
        if *self == Self::NEVER {
            return None;
        }
        let monotonic = self.monotonic.saturating_sub(now.monotonic);
        let wall = self.wall.map_or(Duration::MAX, |wall| wall.duration_since(now.wall).unwrap_or_default());
        Some(monotonic.min(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: TimePoint = TimePoint::new(HOUR, SystemTime::UNIX_EPOCH);

    fn later(monotonic: Duration, wall: Duration) -> TimePoint {
        TimePoint::new(START.monotonic + monotonic, START.wall + wall)
    }

    #[test]
    fn p17_the_stricter_clock_counts() {
        let deadline = Deadline::at_wall(START.wall + HOUR, START);
        assert_eq!(deadline.remaining(later(HOUR / 4, HOUR / 4)), Some(HOUR * 3 / 4));
        assert_eq!(deadline.remaining(later(HOUR / 4, HOUR / 2)), Some(HOUR / 2), "suspended");
        assert_eq!(deadline.remaining(later(HOUR / 2, Duration::ZERO)), Some(HOUR / 2), "wall clock set back");
        assert!(!deadline.not_reached(later(HOUR, Duration::ZERO)));
        assert!(!deadline.not_reached(later(Duration::ZERO, HOUR)));
    }

    #[test]
    fn no_duration_overflows() {
        let far = Deadline::after(START, Duration::MAX);
        assert!(far.not_reached(later(HOUR, HOUR)));
        assert!(far.earlier_by(HOUR).not_reached(later(HOUR, HOUR)));
        assert!(far.later_by(Duration::MAX).not_reached(later(HOUR, HOUR)));
        assert!(!Deadline::after(START, HOUR).earlier_by(Duration::MAX).not_reached(START));
        assert_eq!(Deadline::NEVER.earlier_by(Duration::MAX), Deadline::NEVER);
        assert_eq!(Deadline::NEVER.remaining(START), None);
    }

    #[test]
    fn a_deadline_moves_on_both_clocks() {
        let deadline = Deadline::after(START, HOUR);
        let later_deadline = deadline.later_by(HOUR);
        assert_eq!(later_deadline, Deadline::after(START, 2 * HOUR));
        assert_eq!(later_deadline.earlier_by(HOUR), deadline);
        assert_eq!(later_deadline.monotonic(), START.monotonic + 2 * HOUR);
    }

    #[test]
    fn a_wall_time_before_the_start_is_past() {
        let deadline = Deadline::at_wall(START.wall - HOUR, START);
        assert_eq!(deadline.remaining(START), Some(Duration::ZERO));
        let before = TimePoint::new(Duration::ZERO, SystemTime::UNIX_EPOCH - HOUR * 2);
        assert_eq!(deadline.remaining(before), Some(Duration::ZERO));
    }

    #[test]
    fn the_minimum_is_taken_on_each_clock() {
        let both = Deadline::after(START, HOUR).min(Deadline::at_monotonic(START.monotonic + HOUR / 2));
        assert!(both.not_reached(later(HOUR / 4, HOUR / 4)));
        assert!(!both.not_reached(later(HOUR / 2, Duration::ZERO)));
        assert!(!both.not_reached(later(Duration::ZERO, HOUR)));
        assert_eq!(Deadline::NEVER.min(both), both);
        let earlier = Deadline::after(START, HOUR / 2);
        assert_eq!((Deadline::after(START, HOUR).min(earlier), earlier.min(both)), (earlier, earlier));
    }

    #[test]
    fn p08_the_later_deadline_is_found_after_a_clock_change() {
        let set_back = TimePoint::new(START.monotonic + HOUR, START.wall - HOUR);
        let (before, after) = (Deadline::after(START, HOUR / 2), Deadline::after(set_back, HOUR / 2));
        let suspended = TimePoint::new(set_back.monotonic, set_back.wall + HOUR / 2);
        assert!(before.or_later(after, suspended).is_reached(suspended), "each is reached, on another clock");
        assert_eq!(before.or_later(after, set_back), after);
        assert_eq!(after.or_later(before, set_back), after);
    }

    #[test]
    fn the_elapsed_time_is_that_of_the_wall_clock_if_it_was_reached_there() {
        let deadline = Deadline::after(START, HOUR);
        assert_eq!(deadline.elapsed(later(HOUR, 3 * HOUR)), 2 * HOUR);
        assert_eq!(deadline.elapsed(later(2 * HOUR, Duration::ZERO)), HOUR, "wall clock set back");
        assert_eq!(Deadline::at_monotonic(START.monotonic).elapsed(later(HOUR, Duration::ZERO)), HOUR);
    }

    #[test]
    fn a_reached_deadline_is_valid_for_no_duration() {
        let deadline = Deadline::after(START, HOUR);
        assert!(deadline.is_valid_for(HOUR, START));
        assert!(!deadline.is_valid_for(2 * HOUR, START));
        assert!(!deadline.is_valid_for(Duration::ZERO, later(HOUR, HOUR)));
    }

    #[test]
    fn a_remaining_time_is_compared_inclusively() {
        let deadline = Deadline::after(START, HOUR);
        assert!(deadline.has_at_least(HOUR, START));
        assert!(!deadline.has_at_least(HOUR + Duration::from_nanos(1), START));
        assert!(Deadline::NEVER.has_at_least(Duration::MAX, START));
    }
}
