//! [`Flatness`]: how evenly the calls of a fleet are spread over each period.

use std::time::Duration;

use crate::fleet::{Call, Fleet, START};
use crate::sessions::Sessions;

/// What a fleet of one kind of sessions does after a start, an hour's outage and one of ten minutes.
#[derive(Debug)]
pub(crate) struct Phases {
    pub(crate) sessions: Sessions,
    pub(crate) after_start: Flatness,
    /// From the start to the first outage, relative to caches that refresh once per period.
    pub(crate) calls: f64,
    pub(crate) after_outages: Vec<(Duration, Flatness)>,
}

/// The highest twentieth of each period, relative to the mean of that period.
#[derive(Debug)]
pub(crate) struct Flatness {
    pub(crate) peaks: Vec<f64>,
}

impl Phases {
    pub(crate) fn simulate(fleet: Fleet) -> Self {
        let period = fleet.sessions.period();
        // One day, or ten days of sessions of half a day.
        let undisturbed = fleet.sessions.lifetime * if fleet.sessions.lifetime > HOUR { 20 } else { 24 };
        let mut after_start = Counts::new(START, period, whole_periods(undisturbed, period));
        let (mut outages, mut after_outages, mut end) = (Vec::new(), Vec::new(), undisturbed);
        for outage in [HOUR, HOUR / 6] {
            let start = end;
            outages.push(start..start + outage);
            let counts = Counts::new(start + outage + RECOVERY, period, PERIODS_AFTER_OUTAGE);
            end = counts.end();
            after_outages.push((outage, counts));
        }
        let mut calls = 0;
        fleet.simulate(&outages, end, |call| {
            calls += u32::from(call.time < undisturbed);
            after_start.add(call);
            after_outages.iter_mut().for_each(|(_, counts)| counts.add(call));
        });
        let ideal = fleet.caches * (1 + whole_periods(undisturbed - START, period) as u32);
        Self {
            sessions: fleet.sessions,
            after_start: after_start.flatness(),
            calls: f64::from(calls) / f64::from(ideal),
            after_outages: after_outages.into_iter().map(|(outage, counts)| (outage, counts.flatness())).collect(),
        }
    }
}

impl Flatness {
    /// The highest peak of all periods.
    pub(crate) fn highest(&self) -> f64 {
        self.peaks.iter().copied().fold(0.0, f64::max)
    }
}

/// The calls in each twentieth of some periods.
struct Counts {
    start: Duration,
    period: Duration,
    twentieths: Vec<u32>,
}

impl Counts {
    fn new(start: Duration, period: Duration, periods: usize) -> Self {
        Self { start, period, twentieths: vec![0; periods * 20] }
    }

    fn end(&self) -> Duration {
        self.start + self.period * self.twentieths.len() as u32 / 20
    }

    fn add(&mut self, call: Call) {
        if let Some(since) = call.time.checked_sub(self.start)
            && let Some(count) = self.twentieths.get_mut(whole_periods(since * 20, self.period))
        {
            *count += 1;
        }
    }

    fn flatness(&self) -> Flatness {
        let peaks = self.twentieths.chunks(20).map(|period| {
            let highest = period.iter().copied().max().unwrap_or_default();
            f64::from(highest * 20) / f64::from(period.iter().sum::<u32>())
        });
        Flatness { peaks: peaks.collect() }
    }
}

fn whole_periods(duration: Duration, period: Duration) -> usize {
    (duration.as_nanos() / period.as_nanos()) as usize
}

const HOUR: Duration = Duration::from_secs(3600);
const PERIODS_AFTER_OUTAGE: usize = 8;

/// How long caches without a token may wait after an outage. What they fetch then is not part of a period.
const RECOVERY: Duration = Duration::from_secs(60);
