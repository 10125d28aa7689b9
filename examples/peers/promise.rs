//! What must hold of our own cache in each scenario.

use std::time::Duration;

use crate::scenario::Scenario;
use crate::tally::Tally;

/// Whether `tally` is what `scenario` has to come to.
pub(crate) fn is_kept(scenario: Scenario, tally: &Tally) -> bool {
    let Tally { calls, ok, expired, errors, panics, unanswered, slowest, took, works_again } = *tally;
    let all_ok = expired + errors + panics + unanswered == 0;
    match scenario {
        Scenario::A => calls == 1 && all_ok,
        Scenario::B => calls == 1 && errors == 100 && slowest < Duration::from_millis(100),
        Scenario::C => calls == 1 && all_ok && slowest < Duration::from_millis(1),
        Scenario::D => calls == 1 && all_ok,
        Scenario::D2 => (1..=3).contains(&calls) && all_ok,
        Scenario::E => calls == 1 && ok == 10,
        // The pacing, one fetch, and a machine that has other things to do.
        Scenario::F => calls == 1 && errors == 10 && works_again.is_some_and(|span| span < Duration::from_millis(2500)),
        // One a second, as the pacing has it.
        Scenario::G => calls <= 1 + took.as_secs() && all_ok,
        Scenario::H => calls <= 2 && errors == 20,
    }
}
