//! The tables of results, in Markdown.

use std::fmt;

use humantime::format_duration;

use crate::flatness::{Flatness, Phases};
use crate::recovery::{Before, Recovery};

/// One row for each start and outage.
pub(crate) struct FlatnessTable<'a>(pub(crate) &'a [Phases]);

/// One row for each outage.
pub(crate) struct RecoveryTable<'a>(pub(crate) &'a [Recovery]);

impl fmt::Display for FlatnessTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| sessions | after | 1st period | 2nd | 4th | last | highest | calls |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for phases in self.0 {
            row(f, phases, "the start", &phases.after_start)?;
            writeln!(f, " {:.3} |", phases.calls)?;
            for (outage, flatness) in &phases.after_outages {
                row(f, phases, &format!("an outage of {}", format_duration(*outage)), flatness)?;
                writeln!(f, " |")?;
            }
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, phases: &Phases, after: &str, flatness: &Flatness) -> fmt::Result {
    write!(f, "| {} | {after} |", phases.sessions.name())?;
    for period in [1, 2, 4, flatness.peaks.len()] {
        write!(f, " {:.2} |", flatness.peaks[period - 1])?;
    }
    write!(f, " {:.2} |", flatness.highest())
}

impl fmt::Display for RecoveryTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| sessions | outage | fleet before it | calls/s while down: mean, highest | first second after | highest after | all have tokens after |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for recovery in self.0 {
            let before = match recovery.before {
                Before::Flat => "has run for two periods",
                Before::Cold => "starts during it",
            };
            writeln!(
                f,
                "| {} | {} | {before} | {:.0}, {} | {} | {} | {} |",
                recovery.sessions.name(),
                format_duration(recovery.outage),
                recovery.mean_while_down,
                recovery.max_while_down,
                recovery.first_second,
                recovery.max_after,
                format_duration(recovery.took),
            )?;
        }
        Ok(())
    }
}
