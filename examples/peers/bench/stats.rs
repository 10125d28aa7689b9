//! [`Quartiles`] of the rounds of a measurement.

use std::fmt;

use crate::format::format_ns;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) first: f64,
    pub(crate) median: f64,
    pub(crate) third: f64,
}

impl Quartiles {
    /// The quartiles of `values`, or NaN if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let quarter =
            |number: usize| values.get(values.len().saturating_sub(1) * number / 4).copied().unwrap_or(f64::NAN);
        Self { first: quarter(1), median: quarter(2), third: quarter(3) }
    }
}

/// Formats them as times in nanoseconds: the median, and the other quartiles in brackets.
impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", format_ns(self.median), format_ns(self.first), format_ns(self.third))
    }
}
