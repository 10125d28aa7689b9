//! [`Flatness`]: how evenly the calls of a fleet are spread over each period.

use std::time::Duration;

use crate::fleet::{Fleet, Issuer, START};
use crate::sessions::Sessions;

/// The highest twentieth of each period, relative to the mean of that period.
#[derive(Debug)]
pub(crate) struct Flatness {
    pub(crate) peaks: Vec<f64>,
}

/// What a fleet of one kind of sessions does.
#[derive(Debug)]
pub(crate) struct Phases {
    pub(crate) sessions: Sessions,
    pub(crate) after_start: Flatness,
    /// From the start, relative to caches that refresh once per period.
    pub(crate) calls: f64,
    pub(crate) after_outages: Vec<(Duration, Flatness)>,
}

impl Phases {
    /// Simulates a start, an hour's outage and one of ten minutes. Each begins with a flat fleet.
    pub(crate) fn simulate(sessions: Sessions, caches: usize, seed: u64) -> Self {
        let mut fleet = Fleet::new(caches, sessions, seed);
        let (period, mut calls) = (sessions.period(), 0);
        fleet.run_until(START, Issuer::Up, |_| calls += 1);
        // Ten days of sessions of half a day, or one day.
        let observed = sessions.lifetime * if sessions.lifetime > HOUR { 20 } else { 24 };
        let after_start = Flatness::measure(&mut fleet, period, whole_periods(observed, period), |_| calls += 1);
        fleet.run_until(observed, Issuer::Up, |_| calls += 1);
        let ideal = caches * (1 + whole_periods(observed - START, period));
        let after_outages = [HOUR, HOUR / 6].map(|outage| {
            let end = fleet.now() + outage;
            fleet.run_until(end, Issuer::Down, |_| {});
            fleet.run_until(end + RECOVERY, Issuer::Up, |_| {});
            (outage, Flatness::measure(&mut fleet, period, PERIODS_AFTER_OUTAGE, |_| {}))
        });
        let calls = f64::from(calls) / ideal as f64;
        Self { sessions, after_start, calls, after_outages: after_outages.into() }
    }
}

impl Flatness {
    fn measure(fleet: &mut Fleet, period: Duration, periods: usize, mut on_call: impl FnMut(Duration)) -> Self {
        let peaks = (0..periods).map(|_| {
            let start = fleet.now();
            let mut bins = [0_u32; BINS];
            fleet.run_until(start + period, Issuer::Up, |time| {
                bins[bin(time - start, period)] += 1;
                on_call(time);
            });
            let (highest, sum) = (bins.into_iter().max().unwrap_or_default(), bins.into_iter().sum::<u32>());
            f64::from(highest) * BINS as f64 / f64::from(sum)
        });
        Self { peaks: peaks.collect() }
    }

    /// The highest peak of all periods.
    pub(crate) fn highest(&self) -> f64 {
        self.peaks.iter().copied().fold(0.0, f64::max)
    }
}

fn bin(time: Duration, period: Duration) -> usize {
    (time.as_nanos() * BINS as u128 / period.as_nanos()) as usize
}

fn whole_periods(duration: Duration, period: Duration) -> usize {
    (duration.as_nanos() / period.as_nanos()) as usize
}

const BINS: usize = 20;
const HOUR: Duration = Duration::from_secs(3600);
const PERIODS_AFTER_OUTAGE: usize = 4;

/// How long caches without a token may wait after an outage. What they fetch then is not part of a period.
const RECOVERY: Duration = Duration::from_secs(60);
