//! What is malformed: answers of STS, of the instance metadata service, of a container's endpoint and of a
//! `credential_process`, and profile files. Each through the SDK's own chain, which reads an environment that only a process
//! of its own can have: so each case is a child, and all that it prints is looked through.
//!
//! Whatever comes: the good token stays, the error says what is wrong, nothing that can be printed holds a part of a secret,
//! and the cache recovers by itself once its source is well.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests, on the real clock")]

mod answer;
mod canary;
mod case;
mod child;
mod container;
mod imds;
mod parent;
mod place;
mod process;
mod profiles;
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
fn the_corpus_is_large_and_no_two_cases_have_one_name() {
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
async fn p03_p22_whatever_sts_answers_to_assume_role() {
    parent::run(&sts::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_whatever_sts_answers_to_a_web_identity() {
    parent::run(&web_identity::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_whatever_an_instances_metadata_service_answers() {
    parent::run(&imds::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_whatever_a_containers_endpoint_answers() {
    parent::run(&container::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_whatever_a_credential_process_prints() {
    parent::run(&process::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_p22_whatever_is_in_the_profile_files() {
    parent::run(&profiles::PROTOCOL).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the tests above"]
async fn child() {
    child::run().await;
}
