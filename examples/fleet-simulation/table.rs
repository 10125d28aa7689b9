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
        writeln!(f, "| sessions | after | 1st period | 2nd | 4th | 8th | last | highest | calls |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
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
    for period in [1, 2, 4, 8, flatness.peaks.len()] {
        write!(f, " {:.2} |", flatness.peaks[period - 1])?;
    }
    write!(f, " {:.2} |", flatness.highest())
}

impl fmt::Display for RecoveryTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| sessions | outage of | the fleet | while down: mean | highest | after: first second | highest | all have tokens |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for recovery in self.0 {
            let before = match recovery.before {
                Before::Runs => "has run for 2 periods",
                Before::Starts => "starts during it",
            };
            let highest = |calls: &[u32]| calls.iter().copied().max().unwrap_or_default();
            let mean = f64::from(recovery.while_down.iter().sum::<u32>()) / recovery.while_down.len() as f64;
            writeln!(
                f,
                "| {} | {} | {before} | {mean:.0} | {} | {} | {} | {:.0} s |",
                recovery.fleet.sessions.name(),
                format_duration(recovery.outage),
                highest(&recovery.while_down),
                recovery.after[0],
                highest(&recovery.after),
                recovery.took.as_secs_f64().ceil(),
            )?;
        }
        Ok(())
    }
}
