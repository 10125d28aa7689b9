//! Each adapter against AWS on loopback, as its project uses it: through rotations, and where the old one went wrong.

#![allow(clippy::unwrap_used, reason = "tests")]

mod arroyo;
mod child;
mod comet;
mod datafusion_cli;
mod delta_rs;
mod lance;
mod restate;
mod stores;
mod table;

use std::time::Duration;

use token_cache_testing::aws::FakeAws;

const BUCKET: &str = "bucket";
const SECOND: Duration = Duration::from_secs(1);

/// Sessions that are refreshed every second and a half or so, and traffic for as long as four of them take.
const SHORT_SESSION: Duration = Duration::from_secs(3);
const ROTATIONS: Duration = Duration::from_secs(6);

/// AWS with sessions of this lifetime, and a bucket.
async fn aws_with_sessions_of(lifetime: Duration) -> FakeAws {
    let aws = FakeAws::builder().session_lifetime(lifetime).start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    aws
}

/// As many of `task` at once, each as a task of the runtime.
async fn at_once<F>(count: usize, task: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks = (0..count).map(|n| tokio::spawn(task(n)));
    futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}
