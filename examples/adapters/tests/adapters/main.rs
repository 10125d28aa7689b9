//! Each adapter against AWS on loopback, as its project uses it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod arroyo;
mod comet;
mod datafusion_cli;
mod delta_rs;
mod lance;
mod restate;
mod stores;
mod table;

use std::time::Duration;

use token_cache_test_support::ChildProcess;
use token_cache_testing::aws::FakeAws;

const BUCKET: &str = "bucket";
const SECOND: Duration = Duration::from_secs(1);

/// A session that is refreshed after 2 s. A request has at least the last second to arrive at S3.
const SHORT_SESSION: Duration = Duration::from_secs(4);

/// How many sessions a load uses before it ends.
const SESSIONS: usize = 4;

type Env = Vec<(&'static str, String)>;

/// AWS with sessions of this lifetime, and a bucket.
async fn aws_with_sessions_of(lifetime: Duration) -> FakeAws {
    let aws = FakeAws::builder().session_lifetime(lifetime).start().await.unwrap();
    aws.s3().create_bucket(BUCKET).unwrap();
    aws
}

/// Runs the ignored test `name` in a process with this environment. It has to succeed.
async fn run_child(name: &str, env: Env) {
    ChildProcess::test(name).envs(env).run().await.assert_success();
}

/// A variable of the environment of a child.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// Runs `count` tasks at the same time.
async fn run_concurrently<F>(count: usize, task: impl Fn(usize) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks = (0..count).map(|n| tokio::spawn(task(n)));
    futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}
