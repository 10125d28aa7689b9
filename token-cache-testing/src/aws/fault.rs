//! What can be wrong with the issuer, and for how long.

use std::time::{Duration, Instant};

/// A way in which the issuer fails. It is the same for every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Connections are closed without an answer: those that are open at once,
    /// a new one as soon as its request is there (so that it is counted).
    Down,
    /// Answers that are well-formed and say all is well, with a session that
    /// expired a minute ago, as IMDS is known to give during an incident.
    /// The S3 server answers it with `ExpiredToken`. Everything but
    /// credentials is answered as ever.
    Expired,
    /// `200 OK` with a page of HTML, as of a captive portal.
    Garbage,
    /// Requests are taken and never answered, not even after the issuer is
    /// mended; the client has to give up.
    Hang,
    /// An answer of this HTTP status without credentials. A number that is no
    /// final status (200 to 599) counts as 500.
    Status(u16),
}

/// How far an outage is that was ordered with
/// [`Issuer::outage_at_next_request`](super::Issuer::outage_at_next_request).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutageState {
    /// It waits for the next request.
    Armed,
    /// None was ordered, or it was replaced or called off before it began.
    None,
    /// It is over, by itself or because the issuer was mended.
    Over {
        /// When it began.
        since: Instant,
        /// How long it was.
        lasted: Duration,
    },
    /// It is on.
    Running {
        /// When it began.
        since: Instant,
        /// How long it will be in all.
        lasts: Duration,
    },
}

/// The state of the issuer's health.
#[derive(Debug, Default)]
pub(crate) struct Faults(State);

impl Faults {
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.0 = State::Failing(fault);
    }

    pub(crate) fn mend(&mut self, now: Instant) {
        self.settle(now);
        self.0 = match self.0 {
            State::Running { since, .. } => State::Over { since, lasted: now.saturating_duration_since(since) },
            over @ State::Over { .. } => over,
            State::Armed { .. } | State::Failing(_) | State::Well => State::Well,
        };
    }

    pub(crate) fn arm(&mut self, fault: Fault, lasts: Duration) {
        self.0 = State::Armed { fault, lasts };
    }

    /// Takes note of a request. `counts` says whether it is one that an
    /// ordered outage waits for.
    pub(crate) fn arrive(&mut self, counts: bool, now: Instant) -> Arrival {
        if let (State::Armed { fault, lasts }, true) = (self.0, counts) {
            self.0 = State::Running { fault, since: now, lasts };
            return Arrival { fault: Some(fault), outage_begins: true };
        }
        Arrival { fault: self.current(now), outage_begins: false }
    }

    pub(crate) fn current(&mut self, now: Instant) -> Option<Fault> {
        self.settle(now);
        match self.0 {
            State::Failing(fault) | State::Running { fault, .. } => Some(fault),
            State::Armed { .. } | State::Over { .. } | State::Well => None,
        }
    }

    pub(crate) fn phase(&mut self, now: Instant) -> OutageState {
        self.settle(now);
        match self.0 {
            State::Armed { .. } => OutageState::Armed,
            State::Failing(_) | State::Well => OutageState::None,
            State::Over { since, lasted } => OutageState::Over { since, lasted },
            State::Running { since, lasts, .. } => OutageState::Running { since, lasts },
        }
    }

    /// Ends an outage whose time is up. No timer does it: nobody can tell as
    /// long as nobody asks.
    fn settle(&mut self, now: Instant) {
        if let State::Running { since, lasts, .. } = self.0
            && now.saturating_duration_since(since) >= lasts
        {
            self.0 = State::Over { since, lasted: lasts };
        }
    }
}

/// What [`Faults::arrive`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) fault: Option<Fault>,
    pub(crate) outage_begins: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    Armed {
        fault: Fault,
        lasts: Duration,
    },
    Failing(Fault),
    Over {
        since: Instant,
        lasted: Duration,
    },
    Running {
        fault: Fault,
        since: Instant,
        lasts: Duration,
    },
    #[default]
    Well,
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fault(faults: &mut Faults, now: Instant) -> Option<Fault> {
        faults.arrive(true, now).fault
    }

    #[test]
    fn a_fault_lasts_until_it_is_mended() {
        let start = clock::monotonic();
        let mut faults = Faults::default();
        assert_eq!(fault(&mut faults, start), None);
        faults.fail(Fault::Hang);
        assert_eq!(fault(&mut faults, start + 1_000_000 * SECOND), Some(Fault::Hang));
        faults.mend(start);
        assert_eq!(fault(&mut faults, start), None);
    }

    #[test]
    fn an_ordered_outage_begins_with_a_request_and_ends_by_itself() {
        let start = clock::monotonic();
        let mut faults = Faults::default();
        faults.arm(Fault::Down, 3 * SECOND);
        assert_eq!(faults.phase(start), OutageState::Armed);
        assert_eq!(
            faults.arrive(false, start),
            Arrival { fault: None, outage_begins: false },
            "a request that has nothing to do with credentials"
        );
        let since = start + 10 * SECOND;
        assert_eq!(faults.arrive(true, since), Arrival { fault: Some(Fault::Down), outage_begins: true });
        assert_eq!(faults.phase(since), OutageState::Running { since, lasts: 3 * SECOND });
        let last = since + 3 * SECOND - Duration::from_nanos(1);
        assert_eq!(faults.arrive(true, last), Arrival { fault: Some(Fault::Down), outage_begins: false });
        let end = since + 3 * SECOND;
        assert_eq!(fault(&mut faults, end), None);
        assert_eq!(faults.phase(end), OutageState::Over { since, lasted: 3 * SECOND });
    }

    #[test]
    fn mending_calls_an_ordered_outage_off_or_cuts_it_short() {
        let start = clock::monotonic();
        let mut faults = Faults::default();
        faults.arm(Fault::Down, 3 * SECOND);
        faults.mend(start);
        assert_eq!(faults.phase(start), OutageState::None);
        assert_eq!(fault(&mut faults, start), None);

        faults.arm(Fault::Down, 3 * SECOND);
        assert_eq!(fault(&mut faults, start), Some(Fault::Down));
        faults.mend(start + SECOND);
        let over = OutageState::Over { since: start, lasted: SECOND };
        assert_eq!(faults.phase(start + 9 * SECOND), over);
        faults.mend(start + 9 * SECOND);
        assert_eq!(faults.phase(start + 9 * SECOND), over);
    }

    #[test]
    fn an_outage_without_end_does_not_overflow() {
        let start = clock::monotonic();
        let mut faults = Faults::default();
        faults.arm(Fault::Hang, Duration::MAX);
        assert_eq!(fault(&mut faults, start), Some(Fault::Hang));
        assert_eq!(fault(&mut faults, start + 1_000_000 * SECOND), Some(Fault::Hang));
    }
}
