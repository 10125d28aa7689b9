//! Odd environments and files on a machine with a role: no case panics, and none uses the role of the machine unless
//! nothing else is configured.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, is_no_credentials};
use token_cache_test_support::{ChildProcess, is_child, report};
use tokio::net::TcpListener;

use crate::canary::{GOOD_KEY_ID, leaks_in};
use crate::case::{Case, Outcome};
use crate::fixture::{Fixture, Stage};
use crate::imds;
use crate::parent::{CHILDREN, ROOT};
use crate::server::serve;

pub(crate) struct EnvironmentCase {
    pub(crate) name: String,
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// Names and contents, in the folder [`FOLDER`].
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) expected: Expected,
}

#[derive(Clone)]
pub(crate) enum Expected {
    /// The error has all these texts.
    Error(Vec<String>),
    /// Nothing else is configured.
    RoleOfTheMachine,
    /// The access key with this id.
    Key(&'static str),
}

/// In a value: the folder of the case.
pub(crate) const FOLDER: &str = "{folder}";

/// In a value: the address of a server that takes connections and does nothing.
pub(crate) const HANGING: &str = "{hanging}";

pub(crate) async fn run(cases: Vec<EnvironmentCase>) {
    let count = cases.len();
    println!("{count} cases");
    let results = cases.into_iter().map(run_case).collect::<FuturesUnordered<_>>();
    let failures: Vec<_> = results.filter_map(std::future::ready).collect().await;
    assert!(failures.is_empty(), "{} of {count} cases:\n\n{}", failures.len(), failures.join("\n\n"));
}

async fn run_case(case: EnvironmentCase) -> Option<String> {
    let _permit = CHILDREN.acquire().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in &case.files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fixture = Fixture { folder: folder.path().to_owned(), url: url.clone() };
    fixture.switch_to(Stage::Good);
    let machine = Arc::new(Case::response("the role of the machine", "", Outcome::TimesOut));
    let server = tokio::spawn(serve(listener, &imds::PROTOCOL, machine, fixture));
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap().to_string();
    let placed = |value: &OsString| match value.to_str() {
        Some(text) => text.replace(FOLDER, folder.path().to_str().unwrap()).replace(HANGING, &address).into(),
        None => value.clone(),
    };
    let child = ChildProcess::test("child_reads_its_environment")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
        .env("SSL_CERT_FILE", ROOT)
        .env("HOME", folder.path())
        .env(SERVER, &url)
        .envs(case.variables.iter().map(|(name, value)| (name, placed(value))));
    let output = child.run().await;
    server.abort();

    let printed = format!("{}{}", output.stdout, output.stderr);
    let reports: Vec<_> = output.reports().collect();
    println!("{}: {}", case.name, reports.join(" "));
    let is_expected = output.status.success()
        && leaks_in(&printed).is_empty()
        && match (&case.expected, reports.as_slice()) {
            (Expected::Error(texts), [error]) if error.starts_with("error") => {
                texts.iter().all(|text| error.contains(text.as_str()))
            }
            (Expected::RoleOfTheMachine, ["role of the machine"]) => true,
            (Expected::Key(id), [report]) => report.strip_prefix("key ") == Some(*id),
            _ => false,
        };
    (!is_expected).then(|| format!("{}: {}\n{printed}", case.name, output.status))
}

pub(crate) async fn child() {
    if !is_child() {
        return;
    }
    let aws = AwsTokenCache::from_env().await;
    match aws.get().await {
        // Not a part of an id that the test must not show.
        Ok(credentials) if credentials.access_key_id() == GOOD_KEY_ID => report("role of the machine"),
        Ok(credentials) => report(format!("key {}", credentials.access_key_id())),
        Err(error) => {
            assert!(!is_no_credentials(&error), "requests would be unsigned: {error}");
            report(format!("error {error}"));
        }
    }
    // A request, at which clients panic if a part of the credentials cannot be sent. Its result does not matter.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let builder = AmazonS3Builder::new().with_bucket_name("bucket").with_region("us-east-1").with_retry(retry);
    let builder = builder.with_endpoint(env::var(SERVER).unwrap()).with_allow_http(true);
    if let Ok(store) = aws.configure(builder).build() {
        drop(store.head(&Path::from("object")).await);
    }
}

const SERVER: &str = "TOKEN_CACHE_SERVER";
