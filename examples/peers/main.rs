//! Runs the same scenarios, over the same source and in one process, for token-cache and the published caches that it is
//! compared with.
//!
//! Prints a table. Exits with an error if token-cache violates its contract.

#![expect(clippy::disallowed_methods, reason = "the scenarios run in real time")]

mod callers;
mod contract;
mod environment;
mod format;
mod outcome;
mod peer;
mod scenario;
mod source;
mod table;
mod token_endpoint;

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use futures::future::try_join_all;

use crate::outcome::Outcome;
use crate::peer::Peer;
use crate::scenario::Scenario;

#[derive(Debug, Parser)]
#[command(about = "Compares the behavior of token-cache with that of published caches")]
struct Args {
    /// Also print the results as a JSON object, on the last line.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let peers = peer::all();
    let mut rows = Vec::new();
    for scenario in Scenario::ALL {
        eprintln!("{}: {}", scenario.id(), scenario.title());
        rows.push((scenario, run(scenario, &peers).await?));
    }
    // token-cache is the first peer.
    let met = |(scenario, outcomes): &table::Row| contract::is_met(*scenario, &outcomes[0]);
    let failed: Vec<_> = rows.iter().filter(|row| !met(row)).map(|(scenario, _)| *scenario).collect();

    println!("{}", table::markdown(&peers, &rows)?);
    for scenario in &failed {
        println!("token-cache violates its contract in {}.", scenario.id());
    }
    if args.json {
        println!("{}", table::json(&peers, &rows, &failed));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(scenario: Scenario, peers: &[Box<dyn Peer>]) -> anyhow::Result<Vec<Outcome>> {
    if scenario.needs_idle_machine() {
        let mut outcomes = Vec::new();
        for peer in peers {
            outcomes.push(scenario.run(&**peer).await?);
        }
        return Ok(outcomes);
    }
    // Panics are expected here: those of the source, and those that they cause in the caches.
    let hook = (scenario == Scenario::SourcePanics).then(panic::take_hook);
    if hook.is_some() {
        panic::set_hook(Box::new(|_| {}));
    }
    let outcomes = try_join_all(peers.iter().map(|peer| scenario.run(&**peer))).await;
    if let Some(hook) = hook {
        panic::set_hook(hook);
    }
    outcomes
}
