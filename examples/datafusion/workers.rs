//! Workers in processes of their own, which have no credentials: their driver sends them each session, sealed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::process::Stdio;

use aws_types::SdkConfig;
use aws_types::region::Region;
use token_cache_aws::{AwsCodec, AwsTokenCache, credential_cache};
use token_cache_fleet::{Keys, open, pushed, seal};
use token_cache_test_support::is_child;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::*;

const WORKERS: usize = 3;
const ROTATIONS: u64 = 4;
const ROLE: &str = "reader";
const DONE: &str = "DONE ";

fn keys() -> Keys {
    Keys::new([7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_query_with_the_sessions_of_their_driver() {
    let fake_aws = loopback::start(Duration::from_secs(3600)).await.unwrap();
    let driver = loopback::role_cache(&fake_aws, Duration::ZERO).await;
    Dataset::new(&driver).unwrap().write().await.unwrap();
    let mut workers: Vec<Child> = (0..WORKERS)
        .map(|_| {
            let mut worker = Command::new(env::current_exe().unwrap());
            worker.args(["--exact", "workers::worker", "--ignored", "--nocapture"]);
            // An endpoint, and neither keys nor a role.
            worker.env_clear().env("TOKEN_CACHE_TEST_CHILD", "1").env("S3_ENDPOINT", fake_aws.s3().endpoint());
            worker.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
        })
        .collect();
    let mut outputs: Vec<_> =
        workers.iter_mut().map(|worker| BufReader::new(worker.stdout.take().unwrap()).lines()).collect();

    for rotation in 0..ROTATIONS {
        let session = driver.cache().get_with_times().await.unwrap();
        let message = hex::encode(seal(&AwsCodec, &keys(), ROLE, &session.token, session.expires_at).unwrap());
        for worker in &mut workers {
            worker.stdin.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).await.unwrap();
        }
        for output in &mut outputs {
            loop {
                let line = output.next_line().await.unwrap().expect("a worker has ended");
                if line.ends_with(&format!("{DONE}{rotation}")) {
                    break;
                }
            }
        }
        // The next session, and the end of this one.
        if rotation + 1 < ROTATIONS {
            driver.cache().refresh().await.unwrap();
        }
    }
    for mut worker in workers {
        drop(worker.stdin.take());
        assert!(worker.wait().await.unwrap().success());
    }
    assert_eq!(
        fake_aws.issuer().counts().assume_role,
        ROTATIONS,
        "one call per rotation, for the driver and all workers"
    );
    assert_eq!(fake_aws.s3().counts().sessions as u64, ROTATIONS);
    assert_eq!(fake_aws.s3().counts().rejected_in_all(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of the test above"]
async fn worker() {
    if !is_child() {
        return;
    }
    let (pusher, source) = pushed();
    let config = SdkConfig::builder().region(Region::new("us-east-1")).endpoint_url(env::var("S3_ENDPOINT").unwrap());
    let cache = credential_cache(source).min_refresh_interval(Duration::ZERO).build();
    let aws = AwsTokenCache::new(cache, &config.build());
    let dataset = Dataset::new(&aws).unwrap();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut number = 0;
    while let Some(message) = lines.next_line().await.unwrap() {
        pusher.push(open(&AwsCodec, &keys(), ROLE, &hex::decode(message).unwrap()).unwrap());
        match number {
            0 => dataset.register().await.unwrap(),
            // As when the session that it has is due.
            _ => drop(aws.cache().refresh().await.unwrap()),
        }
        dataset.query(number).await.unwrap();
        println!("\n{DONE}{number}");
        number += 1;
    }
}
