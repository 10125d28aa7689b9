//! Malformed input: responses of STS, of the instance metadata service and of a container's endpoint, output of a
//! `credential_process`, and profile files. Each goes through the SDK's own chain. The chain reads the environment, so each
//! case runs in a child process.
//!
//! Whatever the input, the cache keeps its good token, the error says what is wrong, nothing that the process prints has a
//! part of a secret, and the cache recovers by itself once the input is well-formed.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod canary;
mod case;
mod child;
mod container;
mod environment;
mod environment_cases;
mod fixture;
mod imds;
mod parent;
mod process;
mod profiles;
mod response;
mod secrets;
mod server;
mod sts;
mod web_identity;

use crate::case::Protocol;

const PROTOCOLS: [&Protocol; 6] = [
    &container::PROTOCOL,
    &imds::PROTOCOL,
    &process::PROTOCOL,
    &profiles::PROTOCOL,
    &sts::PROTOCOL,
    &web_identity::PROTOCOL,
];

#[test]
fn the_names_of_the_cases_are_unique() {
    let mut all = 0;
    for protocol in PROTOCOLS {
        let mut names: Vec<_> = (protocol.cases)().iter().map(|case| case.name).collect();
        println!("{:<14} {:>3} cases", protocol.name, names.len());
        all += names.len();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
    println!("{:<14} {all:>3} cases", "all");
    assert!(all >= 60, "{all} cases");
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_responses_to_assume_role() {
    parent::run(&sts::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_responses_to_a_web_identity() {
    parent::run(&web_identity::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_responses_of_instance_metadata() {
    parent::run(&imds::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_responses_of_a_container_endpoint() {
    parent::run(&container::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_output_of_a_credential_process() {
    parent::run(&process::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_malformed_profile_files() {
    parent::run(&profiles::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_variable_panics_or_leads_to_another_identity() {
    environment::run(environment_cases::variables()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_configuration_is_an_error() {
    environment::run(environment_cases::configurations()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the two tests above"]
async fn child_reads_its_environment() {
    environment::child().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the tests above"]
async fn child() {
    child::run().await;
}
