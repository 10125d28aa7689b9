//! [`Fault`]: how the issuer fails, and for how long.

use std::time::Duration;

use token_cache_core::TimePoint;

/// A failure of the issuer. It is the same for every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Connections are closed without an answer: open ones immediately, a new one as soon as its request has been read, so
    /// that the request is counted.
    Down,
    /// Well-formed success answers whose session expired a minute ago. IMDS has answered like this during incidents. The S3
    /// server rejects the session with `ExpiredToken`. Requests for anything but credentials are answered as usual.
    Expired,
    /// `200 OK` with an HTML page, like that of a captive portal.
    Garbage,
    /// Requests are read and never answered, not even after the fault is cleared. The client has to time out.
    Hang,
    /// An answer with this HTTP status and no credentials. Numbers outside 200 to 599 are answered with 500.
    Status(u16),
}

/// The state of an outage that was scheduled with
/// [`Issuer::outage_at_next_request`](super::Issuer::outage_at_next_request).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutageState {
    /// It waits for the next request.
    Armed,
    /// None was scheduled, or it was replaced or cleared before it began.
    None,
    /// It has ended, by itself or because the fault was cleared.
    Over {
        /// When it began.
        since: TimePoint,
        /// How long it lasted.
        duration: Duration,
    },
    /// It has begun and not ended.
    Running {
        /// When it began.
        since: TimePoint,
        /// How long it lasts in total.
        duration: Duration,
    },
}

/// The fault or outage of an issuer, if any.
#[derive(Debug, Default)]
pub(crate) struct Faults(Health);

impl Faults {
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.0 = Health::Failing(fault);
    }

    pub(crate) fn clear(&mut self, now: TimePoint) {
        self.end_if_due(now);
        self.0 = match self.0 {
            Health::Running { since, .. } => Health::Over { since, duration: elapsed(since, now) },
            over @ Health::Over { .. } => over,
            Health::Armed { .. } | Health::Failing(_) | Health::Healthy => Health::Healthy,
        };
    }

    pub(crate) fn arm(&mut self, fault: Fault, duration: Duration) {
        self.0 = Health::Armed { fault, duration };
    }

    /// Takes a request into account, which starts an armed outage if it `leads_to_credentials`.
    pub(crate) fn on_request(&mut self, leads_to_credentials: bool, now: TimePoint) -> Arrival {
        if let (Health::Armed { fault, duration }, true) = (self.0, leads_to_credentials) {
            self.0 = Health::Running { fault, since: now, duration };
            return Arrival { fault: Some(fault), outage_begins: true };
        }
        Arrival { fault: self.current(now), outage_begins: false }
    }

    pub(crate) fn current(&mut self, now: TimePoint) -> Option<Fault> {
        self.end_if_due(now);
        match self.0 {
            Health::Failing(fault) | Health::Running { fault, .. } => Some(fault),
            Health::Armed { .. } | Health::Healthy | Health::Over { .. } => None,
        }
    }

    pub(crate) fn outage(&mut self, now: TimePoint) -> OutageState {
        self.end_if_due(now);
        match self.0 {
            Health::Armed { .. } => OutageState::Armed,
            Health::Failing(_) | Health::Healthy => OutageState::None,
            Health::Over { since, duration } => OutageState::Over { since, duration },
            Health::Running { since, duration, .. } => OutageState::Running { since, duration },
        }
    }

    /// Ends an outage whose duration has passed. It needs no timer, because every reader of the state calls this first.
    fn end_if_due(&mut self, now: TimePoint) {
        if let Health::Running { since, duration, .. } = self.0
            && elapsed(since, now) >= duration
        {
            self.0 = Health::Over { since, duration };
        }
    }
}

/// The result of [`Faults::on_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) fault: Option<Fault>,
    pub(crate) outage_begins: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Health {
    Armed {
        fault: Fault,
        duration: Duration,
    },
    Failing(Fault),
    #[default]
    Healthy,
    Over {
        since: TimePoint,
        duration: Duration,
    },
    Running {
        fault: Fault,
        since: TimePoint,
        duration: Duration,
    },
}

fn elapsed(since: TimePoint, now: TimePoint) -> Duration {
    now.monotonic().saturating_sub(since.monotonic())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(elapsed: Duration) -> TimePoint {
        TimePoint::new(elapsed, UNIX_EPOCH + elapsed)
    }

    fn fault(faults: &mut Faults, now: Duration) -> Option<Fault> {
        faults.on_request(true, at(now)).fault
    }

    #[test]
    fn a_fault_lasts_until_it_is_cleared() {
        let mut faults = Faults::default();
        assert_eq!(fault(&mut faults, SECOND), None);
        faults.fail(Fault::Hang);
        assert_eq!(fault(&mut faults, 1_000_000 * SECOND), Some(Fault::Hang));
        faults.clear(at(1_000_000 * SECOND));
        assert_eq!(fault(&mut faults, 1_000_000 * SECOND), None);
    }

    #[test]
    fn an_armed_outage_begins_with_a_request_and_ends_by_itself() {
        let mut faults = Faults::default();
        faults.arm(Fault::Down, 3 * SECOND);
        assert_eq!(faults.outage(at(SECOND)), OutageState::Armed);
        assert_eq!(
            faults.on_request(false, at(SECOND)),
            Arrival { fault: None, outage_begins: false },
            "a request that does not lead to credentials"
        );
        let since = at(10 * SECOND);
        assert_eq!(faults.on_request(true, since), Arrival { fault: Some(Fault::Down), outage_begins: true });
        assert_eq!(faults.outage(since), OutageState::Running { since, duration: 3 * SECOND });
        let last = at(13 * SECOND - Duration::from_nanos(1));
        assert_eq!(faults.on_request(true, last), Arrival { fault: Some(Fault::Down), outage_begins: false });
        assert_eq!(fault(&mut faults, 13 * SECOND), None);
        assert_eq!(faults.outage(at(13 * SECOND)), OutageState::Over { since, duration: 3 * SECOND });
    }

    #[test]
    fn clearing_cancels_an_armed_outage_and_ends_a_running_one() {
        let mut faults = Faults::default();
        faults.arm(Fault::Down, 3 * SECOND);
        faults.clear(at(SECOND));
        assert_eq!(faults.outage(at(SECOND)), OutageState::None);
        assert_eq!(fault(&mut faults, SECOND), None);

        faults.arm(Fault::Down, 3 * SECOND);
        assert_eq!(fault(&mut faults, SECOND), Some(Fault::Down));
        faults.clear(at(2 * SECOND));
        let over = OutageState::Over { since: at(SECOND), duration: SECOND };
        assert_eq!(faults.outage(at(9 * SECOND)), over);
        faults.clear(at(9 * SECOND));
        assert_eq!(faults.outage(at(9 * SECOND)), over);
    }

    #[test]
    fn an_endless_outage_does_not_overflow() {
        let mut faults = Faults::default();
        faults.arm(Fault::Hang, Duration::MAX);
        assert_eq!(fault(&mut faults, SECOND), Some(Fault::Hang));
        assert_eq!(fault(&mut faults, 1_000_000 * SECOND), Some(Fault::Hang));
    }
}
