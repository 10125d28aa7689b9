//! The results as a Markdown table and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::environment::{self, cores, rustc};
use crate::outcome::Outcome;
use crate::peer::Peer;
use crate::scenario::Scenario;

/// A scenario and its outcome for each peer, in the order of the peers.
pub(crate) type Row = (Scenario, Vec<Outcome>);

pub(crate) fn markdown(peers: &[Box<dyn Peer>], rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{} cores, {}\n", cores(), rustc())?;
    write!(text, "| |")?;
    for (number, peer) in (1..).zip(peers) {
        write!(text, " {}", peer.name())?;
        if let Some(version) = version(&**peer) {
            write!(text, " {version}")?;
        }
        write!(text, " [{number}] |")?;
    }
    writeln!(text, "\n|---|{}", "---|".repeat(peers.len()))?;
    for (scenario, outcomes) in rows {
        write!(text, "| **{}** {} |", scenario.id(), scenario.title())?;
        for outcome in outcomes {
            write!(text, " {} |", scenario.cell(outcome))?;
        }
        writeln!(text)?;
    }
    writeln!(text, "\nA source call takes 50 ms, except for 500 ms in C, 20 ms in D and D2, and 100 ms in E.\n")?;
    for (number, peer) in (1..).zip(peers) {
        writeln!(text, "[{number}] {}: {}.  ", peer.name(), peer.note())?;
    }
    Ok(text)
}

pub(crate) fn json(peers: &[Box<dyn Peer>], rows: &[Row], failed: &[Scenario]) -> Value {
    let peer_json = |peer: &dyn Peer| json!({ "name": peer.name(), "version": version(peer), "note": peer.note() });
    let row_json = |(scenario, outcomes): &Row| {
        let outcomes = peers.iter().zip(outcomes).map(|(peer, outcome)| (peer.name().to_owned(), outcome.json()));
        json!({ "id": scenario.id(), "title": scenario.title(), "outcomes": outcomes.collect::<Map<_, _>>() })
    };
    json!({
        "cores": cores(),
        "rustc": rustc(),
        "peers": peers.iter().map(|peer| peer_json(&**peer)).collect::<Vec<_>>(),
        "scenarios": rows.iter().map(row_json).collect::<Vec<_>>(),
        "failed": failed.iter().map(|scenario| scenario.id()).collect::<Vec<_>>(),
    })
}

fn version(peer: &dyn Peer) -> Option<&'static str> {
    environment::version(peer.package()?)
}
