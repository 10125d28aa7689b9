//! Random numbers.

use crate::plan::Id;

/// `None`: the system has no random numbers.
pub(crate) fn id() -> Option<Id> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).ok().map(|()| Id(id))
}

/// From 0 to 1.
pub(crate) fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
