//! What the contract of token-cache requires in each scenario. No requirement depends on the speed of the machine.

use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// Whether `outcome` of this cache meets the contract in `scenario`.
pub(crate) fn is_met(scenario: Scenario, outcome: &Outcome) -> bool {
    let Outcome { calls, ok, errors, waited, elapsed, recovered_after, .. } = *outcome;
    // Fetches start at least one second apart.
    let paced = calls <= 1 + elapsed.as_secs();
    match scenario {
        Scenario::ColdStart => calls == 1 && outcome.all_ok(),
        Scenario::ColdStartSourceDown => calls == 1 && errors == 100,
        Scenario::NearExpirySlowSource | Scenario::NearExpirySourceDown => {
            calls == 1 && waited == 0 && outcome.all_ok()
        }
        Scenario::NearExpirySourceDownSequential => calls >= 1 && paced && outcome.all_ok(),
        Scenario::FirstCallerCancelled => calls == 1 && ok == 10,
        Scenario::SourcePanics => calls == 1 && errors == 10 && recovered_after.is_some(),
        Scenario::ShortLifetime => paced && outcome.all_ok(),
        Scenario::ExpiredTokens => paced && errors == 20,
    }
}
