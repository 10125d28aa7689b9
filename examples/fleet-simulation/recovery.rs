//! [`Recovery`]: what an issuer gets during an outage and at its end.

use std::time::Duration;

use crate::fleet::{Fleet, START};

/// How a fleet comes back after an outage.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) fleet: Fleet,
    pub(crate) before: Before,
    pub(crate) outage: Duration,
    /// Calls in each second of the outage, and after it.
    pub(crate) while_down: Vec<u32>,
    pub(crate) after: Vec<u32>,
    /// From the end of the outage until all caches have a token.
    pub(crate) took: Duration,
}

/// What the fleet does before the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// It has run for some periods.
    Runs,
    /// Nothing: it starts during the outage.
    Starts,
}

impl Recovery {
    pub(crate) fn simulate(fleet: Fleet, before: Before, outage: Duration) -> Self {
        let start = match before {
            Before::Runs => START + fleet.sessions.period() * 2,
            Before::Starts => Duration::ZERO,
        };
        let end = start + outage;
        let mut while_down = vec![0; outage.as_secs() as usize];
        let mut after = vec![0; OBSERVED.as_secs() as usize];
        let mut took = Duration::ZERO;
        fleet.simulate(&[start..end], end + OBSERVED, |call| {
            if let Some(since) = call.time.checked_sub(end) {
                after[since.as_secs() as usize] += 1;
                if !call.had_token {
                    took = took.max(since);
                }
            } else if let Some(since) = call.time.checked_sub(start) {
                while_down[since.as_secs() as usize] += 1;
            }
        });
        Self { fleet, before, outage, while_down, after, took }
    }
}

/// How long the end of an outage is observed: longer than any backoff.
const OBSERVED: Duration = Duration::from_secs(600);
