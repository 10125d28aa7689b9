//! What a read costs, what a rotation costs its readers, and what a cold start costs: this cache and its published peers,
//! in one process and one run.
//!
//! ```sh
//! cargo bench -p token-cache-peers                          # tables
//! cargo bench -p token-cache-peers -- --json                # and one JSON object, on the last line
//! cargo bench -p token-cache-peers -- --plots docs/plots    # and the plots of the page on performance
//! ```
//!
//! Rounds are interleaved, so that what else the machine does falls on all alike, and what is told are medians.

#![expect(clippy::disallowed_methods, reason = "what is measured here is real time")]

mod cold;
mod core;
mod hits;
mod plot;
mod reader;
mod rotation;
mod seed;
mod stats;

#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../exchange.rs"]
mod exchange;
#[path = "../machine.rs"]
mod machine;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../script.rs"]
mod script;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Parser;
use serde_json::{Map, Value, json};

#[derive(Debug, Parser)]
#[command(about = "What a read, a rotation and a cold start cost, side by side")]
struct Args {
    /// Print the result as a JSON object too, on the last line.
    #[arg(long)]
    json: bool,
    /// Write the plots into this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// How many rounds of hits.
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Given by `cargo bench`, and means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    println!("{} cores, {}, load {}\n", machine::cores(), machine::rustc(), machine::load());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let hits = hits::measure(&runtime, args.rounds)?;
    println!("{hits}");
    let rotations = rotation::measure(&runtime)?;
    println!("{rotations}");
    let cold = cold::measure(&runtime)?;
    println!("{cold}");
    let allocations = allocations()?;
    let ratios = ratios(&hits, &rotations, &cold, &allocations)?;
    println!("{}", table(&ratios));
    if let Some(folder) = &args.plots {
        plot::write(folder, &threads()?, &rotations, &cold)?;
    }
    println!("load {}", machine::load());
    if args.json {
        let object = json!({
            "cores": machine::cores(),
            "rustc": machine::rustc(),
            "load": machine::load(),
            "rounds": args.rounds,
            "ratios": ratios.into_iter().map(|(key, ratio, _)| (key.to_owned(), ratio)).collect::<Map<_, _>>(),
            "medians_ns": hits.json(),
            "rotation": rotations.json(),
            "cold": cold.json(),
        });
        println!("{object}");
    }
    Ok(())
}

/// A key, what was measured, and what it should be at the most.
type Ratio = (&'static str, Value, f64);

fn ratios(
    hits: &hits::Hits,
    rotations: &rotation::Rotations,
    cold: &cold::Cold,
    allocations: &Value,
) -> anyhow::Result<Vec<Ratio>> {
    let mut ratios = Vec::new();
    for (key, one, other, load, most) in [
        ("static_1", "token-cache", "static", 1, 1.6),
        ("object_store_1", "token-cache", "object_store", 1, 0.45),
        ("object_store_2", "token-cache", "object_store", 2, 0.45),
        ("seed_1", "token-cache", "seed", 1, 0.9),
        ("seed_2", "token-cache", "seed", 2, 1.0),
        ("moka_1", "token-cache", "moka", 1, 0.2),
        ("google_1", "token-cache", "google-cloud-auth", 1, 0.3),
        ("near_expiry_1", "token-cache, near expiry", "token-cache", 1, 1.2),
        ("native_1", "native get", "arc-swap and a clock", 1, 1.3),
    ] {
        ratios.push((key, json!(hits.ratio(one, other, load)?), most));
    }
    ratios.push(("rotation_ok", json!(rotations.ratio(rotation::Outcome::Success)?), 0.01));
    ratios.push(("rotation_failed", json!(rotations.ratio(rotation::Outcome::Failure)?), 0.01));
    ratios.push(("wake_100k", json!(cold.ratio(100_000)?), 1.5));
    ratios.push(("allocs_native", allocations["native"].clone(), 0.0));
    ratios.push(("allocs_trait", allocations["trait"].clone(), 1.0));
    Ok(ratios)
}

fn table(ratios: &[Ratio]) -> String {
    let mut text = "| ratio | measured | at most | |\n|---|---|---|---|\n".to_owned();
    for (key, ratio, most) in ratios {
        let measured = ratio.as_f64().unwrap_or(f64::NAN);
        let verdict = if measured <= *most { "" } else { "missed" };
        text.push_str(&format!("| {key} | {measured:.4} | {most} | {verdict} |\n"));
    }
    text
}

/// Counted in a process of its own: what counts allocations makes each of them dearer.
fn allocations() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_token-cache-peers-allocations")).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("no JSON")
}

/// Hits by more threads than the machine has cores, for the plot.
fn threads() -> anyhow::Result<Vec<(usize, hits::Hits)>> {
    [1, 2, 4, 8].into_iter().map(|threads| Ok((threads, hits::by_threads(threads)?))).collect()
}
