//! Workers that write and read while the credentials rotate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use token_cache_aws::AwsTokenCache;

use crate::{ROTATIONS, SECOND};

pub(crate) const BUCKET: &str = "bucket";

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// Sessions after the first.
    pub(crate) rotations: u64,
}

/// A store on the configured endpoint which retries nothing, so that each refusal is seen.
pub(crate) fn store(aws: &AwsTokenCache) -> AmazonS3 {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    aws.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_retry(retry).build().unwrap()
}

/// Writes and reads from 8 workers until the credentials have been replaced [`ROTATIONS`] times. Each failed request is the
/// end of the test.
pub(crate) async fn through_rotations(aws: &AwsTokenCache) -> Outcome {
    until(aws, |aws| aws.cache().status().generation > ROTATIONS).await
}

/// The same until `done`.
pub(crate) async fn until(aws: &AwsTokenCache, done: impl Fn(&AwsTokenCache) -> bool + Send + Sync) -> Outcome {
    let (store, requests, stop) = (Arc::new(store(aws)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    // Of their own for each run, also of another process.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let folder = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let (store, requests, stop) = (Arc::clone(&store), Arc::clone(&requests), Arc::clone(&stop));
            let path = Path::from(format!("{folder}/{n}"));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("{n} {}", requests.load(Ordering::Relaxed));
                    store.put(&path, text.clone().into()).await.unwrap();
                    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), text);
                    requests.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let rotated = async {
        while !done(aws) && !workers.iter().any(|worker| worker.is_finished()) {
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(90), rotated).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("no request fails");
    }
    let status = aws.cache().status();
    in_time.unwrap_or_else(|_| panic!("no rotation in time: {status:?}"));
    Outcome { requests: requests.load(Ordering::Relaxed), rotations: status.generation - 1 }
}
