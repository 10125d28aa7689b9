//! Starts a child for each case, with its server and its environment, and searches all that it prints.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use token_cache_test_support::ChildProcess;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::canary::leaks_in;
use crate::case::{Case, Input, Protocol};
use crate::child::{CASE, FOLDER, URL};
use crate::fixture::{Fixture, Stage};
use crate::server::serve;

/// Runs all cases of a protocol.
pub(crate) async fn run(protocol: &'static Protocol) {
    let cases = (protocol.cases)();
    let count = cases.len();
    let results = cases.into_iter().map(|case| run_case(protocol, case)).collect::<FuturesUnordered<_>>();
    let failures: Vec<_> = results.filter_map(|result| std::future::ready(result.err())).collect().await;
    assert!(failures.is_empty(), "{} of {count} cases:\n\n{}", failures.len(), failures.join("\n\n"));
}

async fn run_case(protocol: &'static Protocol, case: Case) -> Result<(), String> {
    let _permit = CHILDREN.acquire().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fixture = Fixture { folder: folder.path().to_owned(), url };
    write_files(protocol, &case, &fixture);

    let case = Arc::new(case);
    let server = tokio::spawn(serve(listener, protocol, Arc::clone(&case), fixture.clone()));
    let output = child(protocol, &case, &fixture).run().await;
    server.abort();

    let name = format!("{}: {}", protocol.name, case.name);
    output.reports().for_each(|text| println!("{name}: {text}"));
    let printed = format!("{}{}", output.stdout, output.stderr);
    let leaks = leaks_in(&printed);
    match output.status {
        status if !status.success() || output.reports().count() == 0 => Err(format!("{name}: {status}\n{printed}")),
        _ if !leaks.is_empty() => Err(format!("{name}: the child has printed {leaks:?}:\n{printed}")),
        _ => Ok(()),
    }
}

fn write_files(protocol: &Protocol, case: &Case, fixture: &Fixture) {
    for stage in [Stage::Good, Stage::Bad] {
        fixture.write(stage, &(protocol.files)(fixture));
    }
    match &case.input {
        Input::Response { .. } => {}
        Input::Files(files) => fixture.write(Stage::Bad, files),
        Input::MissingFile(name) => fixture.remove(Stage::Bad, name),
    }
    fixture.switch_to(Stage::Good);
}

fn child(protocol: &Protocol, case: &Case, fixture: &Fixture) -> ChildProcess {
    let mut child = ChildProcess::test("child")
        .env("AWS_REGION", "us-east-1")
        .env("SSL_CERT_FILE", ROOT)
        .env(CASE, format!("{}/{}", protocol.name, case.name))
        .env(FOLDER, &fixture.folder)
        .env(URL, &fixture.url);
    if !case.is_retried {
        child = child.env("AWS_MAX_ATTEMPTS", "1");
    }
    child.envs((protocol.env)(fixture))
}

/// The children of all tests that run at the same time. Most of them wait, for the pacing and for the SDK's backoff.
pub(crate) static CHILDREN: Semaphore = Semaphore::const_new(64);

/// One root certificate, for speed: the SDK parses all roots for each fetch, although no case uses TLS.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/malformed/root.pem");
