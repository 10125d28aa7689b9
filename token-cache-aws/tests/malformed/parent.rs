//! What starts the children, each with its server and its environment, and looks through all that they print.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use tokio::net::TcpListener;

use crate::canary::leaks_in;
use crate::case::{Bad, Case, Protocol};
use crate::child::{CASE, PLACE, SAID, URL};
use crate::place::{Place, Stage};
use crate::server::serve;

/// Runs all cases of a protocol, several at once.
pub(crate) async fn run(protocol: &'static Protocol) {
    let start = Instant::now();
    let cases = (protocol.cases)();
    let count = cases.len();
    let failures: Vec<_> = futures::stream::iter(cases.into_iter().map(|case| one(protocol, case)))
        .buffer_unordered(AT_ONCE)
        .filter_map(|result| std::future::ready(result.err()))
        .collect()
        .await;
    println!("{}: {count} cases in {:.1?}", protocol.name, start.elapsed());
    assert!(failures.is_empty(), "{} of {count} cases:\n\n{}", failures.len(), failures.join("\n\n"));
}

async fn one(protocol: &'static Protocol, case: Case) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let place = Place { folder: folder.path().to_owned(), url };
    furnish(protocol, &case, &place);

    let (case, start) = (Arc::new(case), Instant::now());
    let server = tokio::spawn(serve(listener, protocol, Arc::clone(&case), place.clone()));
    let mut command = command(protocol, &case, &place);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    server.abort();

    let (name, printed) = (format!("{}: {}", protocol.name, case.name), printed(&output));
    let said: Vec<_> = printed.lines().filter_map(|line| line.split_once(SAID)).collect();
    said.iter().for_each(|(_, text)| println!("{name} ({:.1?}): {text}", start.elapsed()));
    let leaks = leaks_in(&printed);
    match output.status {
        status if !status.success() || said.is_empty() => Err(format!("{name}: {status}\n{printed}")),
        _ if !leaks.is_empty() => Err(format!("{name}: {leaks:?} is in what the process prints:\n{printed}")),
        _ => Ok(()),
    }
}

fn furnish(protocol: &Protocol, case: &Case, place: &Place) {
    for stage in [Stage::Good, Stage::Bad] {
        place.write(stage, &(protocol.files)(place));
    }
    match &case.bad {
        Bad::Answer { .. } => {}
        Bad::Files(files) => place.write(Stage::Bad, files),
        Bad::Gone(name) => place.remove(Stage::Bad, name),
    }
    place.set(Stage::Good);
}

fn command(protocol: &Protocol, case: &Case, place: &Place) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", place.folder.join("no-such-home")).env("AWS_REGION", "us-east-1");
    if !case.is_retried {
        command.env("AWS_MAX_ATTEMPTS", "1");
    }
    command.env(CASE, format!("{}/{}", protocol.name, case.name)).env(PLACE, &place.folder).env(URL, &place.url);
    command.envs((protocol.env)(place));
    command
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// They mostly wait: for the pacing, and for the SDK's own backoff.
const AT_ONCE: usize = 32;
