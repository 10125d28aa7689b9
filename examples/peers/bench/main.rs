//! Measures hits, rotations, cold starts and memory of this cache, and compares them with those of published caches in the
//! same process.
//!
//! ```sh
//! cargo bench -p token-cache-peers                          # prints tables
//! cargo bench -p token-cache-peers -- --json                # and a JSON object, on the last line
//! cargo bench -p token-cache-peers -- --plots docs/plots    # and draws the plots of docs/performance.md
//! ```
//!
//! Figures are medians of rounds. Each round measures all caches, and measures two that are compared directly after one
//! another, so that other load on the machine affects both. Exits with an error if a figure exceeds its limit.

#![expect(clippy::disallowed_methods, reason = "the benchmark measures real time")]

mod allocations;
mod cold_start;
mod hits;
mod limits;
mod plot;
mod readers;
mod rotation;
mod run_delay;
mod sample;
mod stats;

#[path = "../environment.rs"]
mod environment;
#[path = "../format.rs"]
mod format;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../source.rs"]
mod source;
#[path = "../token_endpoint.rs"]
mod token_endpoint;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use tokio::runtime::Builder;

use crate::limits::Limits;

#[derive(Debug, Parser)]
#[command(about = "Measures hits, rotations, cold starts and memory, and compares published caches")]
struct Args {
    /// Also print the results as a JSON object, on the last line.
    #[arg(long)]
    json: bool,
    /// Write the plots into this directory.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// The number of rounds in which hits are measured.
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Passed by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    println!("{} cores, {}, load {}\n", environment::cores(), environment::rustc(), environment::load());
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let hits = hits::measure(&runtime, &limits::comparisons(), args.rounds)?;
    println!("{hits}");
    let rotations = rotation::measure(&runtime)?;
    println!("{rotations}");
    let cold_starts = cold_start::measure(&runtime)?;
    println!("{cold_starts}");
    let allocations = allocations::measure()?;
    println!("{allocations}");
    let limits = Limits::new(&hits, &rotations, &cold_starts, &allocations)?;
    println!("{limits}");
    if let Some(directory) = &args.plots {
        plot::write(directory, &by_threads()?, &rotations, &cold_starts)?;
    }
    println!("load {}", environment::load());
    let exceeded = limits.exceeded();
    if args.json {
        let object = json!({
            "cores": environment::cores(),
            "rustc": environment::rustc(),
            "load": environment::load(),
            "rounds": args.rounds,
            "ratios": limits.json(),
            "exceeded": exceeded,
            "medians_ns": hits.json(),
            "rotation": rotations.json(),
            "cold": cold_starts.json(),
            "memory": allocations.memory_json(),
        });
        println!("{object}");
    }
    if exceeded.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("over their limits: {}", exceeded.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Hits with up to eight threads, for the plot.
fn by_threads() -> anyhow::Result<Vec<(usize, hits::Hits)>> {
    [1, 2, 4, 8].into_iter().map(|threads| Ok((threads, hits::with_threads(threads)?))).collect()
}
