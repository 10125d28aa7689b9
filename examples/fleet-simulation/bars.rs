//! The bars: what a simulation must not exceed.

use crate::flatness::Phases;
use crate::recovery::Recovery;

/// One sentence for each bar that is missed.
pub(crate) fn missed(phases: &[Phases], recoveries: &[Recovery]) -> Vec<String> {
    let phases = phases.iter().flat_map(of_phases);
    phases.chain(recoveries.iter().filter_map(of_recovery)).collect()
}

fn of_phases(phases: &Phases) -> Vec<String> {
    let (name, period) = (phases.sessions.name(), phases.sessions.period());
    let mut missed = Vec::new();
    let mut peak = |when: String, highest: f64| {
        if highest > MAX_PEAK {
            missed.push(format!("{name}: a peak of {highest:.2} times the mean {when}, more than {MAX_PEAK}"));
        }
    };
    peak("after the start".into(), phases.after_start.highest());
    // A shorter outage delays a part of the fleet, which then refreshes in addition to the rest.
    for (outage, flatness) in phases.after_outages.iter().filter(|(outage, _)| *outage >= period) {
        peak(format!("after an outage of {}", humantime::format_duration(*outage)), flatness.highest());
    }
    if phases.calls > MAX_CALLS {
        missed.push(format!("{name}: {:.3} times the ideal calls, more than {MAX_CALLS}", phases.calls));
    }
    missed
}

fn of_recovery(recovery: &Recovery) -> Option<String> {
    let outage = humantime::format_duration(recovery.outage);
    let highest = recovery.after.iter().copied().max().filter(|calls| *calls > MAX_CALLS_PER_SECOND);
    highest
        .map(|calls| format!("after an outage of {outage}: {calls} calls per second, more than {MAX_CALLS_PER_SECOND}"))
}

/// The highest twentieth of a period over the mean.
const MAX_PEAK: f64 = 1.2;

/// Calls over those of caches that refresh once per period. A cache refreshes once too early.
const MAX_CALLS: f64 = 1.05;

/// Calls per second of 10,000 caches. With a fixed limit of 5 s for the backoff there are 2,551.
const MAX_CALLS_PER_SECOND: u32 = 2_551 / 6;
