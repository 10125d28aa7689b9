//! [`Recovery`]: what an issuer gets during an outage and at its end.

use std::time::Duration;

use crate::fleet::{Fleet, Issuer, START};
use crate::sessions::Sessions;

/// How a fleet comes back after an outage.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) sessions: Sessions,
    pub(crate) outage: Duration,
    pub(crate) before: Before,
    /// Calls per second.
    pub(crate) mean_while_down: f64,
    pub(crate) max_while_down: u32,
    pub(crate) first_second: u32,
    pub(crate) max_after: u32,
    /// Until all caches have a token again.
    pub(crate) took: Duration,
}

/// What the fleet does before the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// It has run for some periods.
    Flat,
    /// Nothing: it starts during the outage.
    Cold,
}

impl Recovery {
    pub(crate) fn simulate(sessions: Sessions, caches: usize, before: Before, outage: Duration, seed: u64) -> Self {
        let mut fleet = Fleet::new(caches, sessions, seed);
        if before == Before::Flat {
            fleet.run_until(START + sessions.period() * 2, Issuer::Up, |_| {});
        }
        let start = fleet.now();
        let mut down = Vec::new();
        while fleet.now() < start + outage {
            down.push(second(&mut fleet, Issuer::Down));
        }
        let mut up = Vec::new();
        while up.is_empty() || !fleet.all_have_tokens() {
            up.push(second(&mut fleet, Issuer::Up));
        }
        Self {
            sessions,
            outage,
            before,
            mean_while_down: f64::from(down.iter().sum::<u32>()) / down.len() as f64,
            max_while_down: down.into_iter().max().unwrap_or_default(),
            first_second: up[0],
            took: SECOND * up.len() as u32,
            max_after: up.into_iter().max().unwrap_or_default(),
        }
    }
}

/// The calls of one second.
fn second(fleet: &mut Fleet, issuer: Issuer) -> u32 {
    let mut calls = 0;
    fleet.run_until(fleet.now() + SECOND, issuer, |_| calls += 1);
    calls
}

const SECOND: Duration = Duration::from_secs(1);
