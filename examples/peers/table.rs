//! The table, in Markdown and in JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::machine::{self, cores, rustc};
use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::tally::Tally;

/// A row: the outcomes of a scenario, in the order of the peers.
pub(crate) type Row = (Scenario, Vec<Tally>);

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
    for (scenario, tallies) in rows {
        write!(text, "| **{scenario:?}** {} |", scenario.title())?;
        for tally in tallies {
            write!(text, " {} |", scenario.cell(tally))?;
        }
        writeln!(text)?;
    }
    writeln!(text, "\nThe source takes 50 ms to answer where nothing else is said, 20 ms in D and D2, 100 ms in E.\n")?;
    for (number, peer) in (1..).zip(peers) {
        writeln!(text, "[{number}] {}: {}.  ", peer.name(), peer.note())?;
    }
    Ok(text)
}

pub(crate) fn json(peers: &[Box<dyn Peer>], rows: &[Row], broken: &[Scenario]) -> Value {
    let about = |peer: &dyn Peer| json!({ "name": peer.name(), "version": version(peer), "note": peer.note() });
    let row = |(scenario, tallies): &Row| {
        let outcomes = peers.iter().zip(tallies).map(|(peer, tally)| (peer.name().to_owned(), tally.json()));
        json!({
            "id": format!("{scenario:?}"),
            "title": scenario.title(),
            "outcomes": outcomes.collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({
        "cores": cores(),
        "rustc": rustc(),
        "peers": peers.iter().map(|peer| about(&**peer)).collect::<Vec<_>>(),
        "scenarios": rows.iter().map(row).collect::<Vec<_>>(),
        "broken": broken.iter().map(|scenario| format!("{scenario:?}")).collect::<Vec<_>>(),
    })
}

fn version(peer: &dyn Peer) -> Option<&'static str> {
    machine::version(peer.package()?)
}
