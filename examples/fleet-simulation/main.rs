//! Simulates a fleet of caches over the rules of token-cache-core, and prints when it calls its issuer.
//!
//! Exits with an error if the calls come in step, or if there are too many.

mod bars;
mod flatness;
mod fleet;
mod picture;
mod recovery;
mod sessions;
mod table;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use clap::Parser;

use crate::flatness::Phases;
use crate::fleet::Fleet;
use crate::recovery::{Before, Recovery};
use crate::sessions::Sessions;
use crate::table::{FlatnessTable, RecoveryTable};

#[derive(Debug, Parser)]
#[command(about = "Simulates when a fleet of caches calls its issuer")]
struct Args {
    /// The seed of the random numbers. The same seed gives the same results.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only draws the calls of a fleet with and without jitter, to this file.
    #[arg(long)]
    picture: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Args { seed, picture } = Args::parse();
    if let Some(file) = picture {
        return match picture::draw(&file, seed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cannot draw {}: {error}", file.display());
                ExitCode::FAILURE
            }
        };
    }
    // Each simulation has its own random numbers, so the order of the threads does not matter.
    let (phases, recoveries) = thread::scope(|scope| {
        let phases = Sessions::ALL.map(|sessions| {
            let fleet = Fleet { sessions, caches: 100_000, seed };
            scope.spawn(move || Phases::simulate(fleet))
        });
        let recoveries = RECOVERIES.map(|(sessions, before, minutes)| {
            let fleet = Fleet { sessions, caches: 10_000, seed };
            scope.spawn(move || Recovery::simulate(fleet, before, Duration::from_secs(minutes * 60)))
        });
        (phases.map(join), recoveries.map(join))
    });
    println!("The highest twentieth of a period over its mean, and the calls over one per period, 100,000 caches:\n");
    println!("{}", FlatnessTable(&phases));
    println!("Calls per second during an outage and after it, 10,000 caches:\n");
    println!("{}", RecoveryTable(&recoveries));

    let missed = bars::missed(&phases, &recoveries);
    for sentence in &missed {
        println!("missed: {sentence}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Sessions, what the fleet does before the outage, and the length of the outage in minutes.
const RECOVERIES: [(Sessions, Before, u64); 6] = [
    (Sessions::ALL[0], Before::Runs, 10),
    (Sessions::ALL[0], Before::Runs, 60),
    (Sessions::ALL[1], Before::Runs, 10),
    (Sessions::ALL[1], Before::Runs, 60),
    // Without a token, the buffer makes no difference.
    (Sessions::ALL[0], Before::Starts, 10),
    (Sessions::ALL[0], Before::Starts, 60),
];
