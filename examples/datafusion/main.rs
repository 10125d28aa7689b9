//! DataFusion and a newer object_store read S3 with the credentials of one cache, through several rotations.
//!
//! DataFusion 55 uses object_store 0.13. A program needs these dependencies:
//!
//! ```toml
//! datafusion = "55"
//! object_store = { version = "0.13", features = ["aws"] }
//! token-cache-aws = { version = "0.1", features = ["object_store-0_13"] }
//! ```
//!
//! and registers the store as follows:
//!
//! ```ignore
//! let aws = AwsTokenCache::from_env().await; // the SDK's default chain
//! let s3 = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
//! let context = SessionContext::new();
//! context.register_object_store(ObjectStoreUrl::parse("s3://bucket")?.as_ref(), Arc::new(s3));
//! context.register_parquet("numbers", "s3://bucket/numbers.parquet", ParquetReadOptions::default()).await?;
//! ```
//!
//! This program runs queries for 10 seconds, on loopback and with sessions of 4 seconds. In parallel, object_store 0.14 reads
//! the same file. No request fails, and each rotation makes one call to the issuer for both.

mod dataset;
mod loopback;
mod report;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::dataset::Dataset;
use crate::report::{Outcome, Report};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let report = run().await?;
    print!("{report}");
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run() -> Result<Report> {
    let fake_aws = loopback::start(SESSION_LIFETIME).await?;
    let aws = loopback::role_cache(&fake_aws, Duration::from_secs(1)).await;
    let dataset = Dataset::new(&aws)?;
    dataset.write().await?;
    dataset.register().await?;
    let written = dataset.read().await?;

    let deadline = Instant::now() + DURATION;
    let (queries, reads) = tokio::join!(
        repeat(deadline, async |n| dataset.query(n).await),
        repeat(deadline, async |_| {
            ensure!(dataset.read().await? == written, "the file differs from what was written");
            Ok(())
        }),
    );
    Ok(Report::new(queries, reads, &aws, &fake_aws))
}

/// Repeats an operation until the deadline, also after failures.
async fn repeat(deadline: Instant, mut operation: impl AsyncFnMut(u64) -> Result<()>) -> Outcome {
    let mut outcome = Outcome::default();
    while Instant::now() < deadline {
        match operation(outcome.succeeded).await {
            Ok(()) => outcome.succeeded += 1,
            Err(error) => {
                outcome.failed += 1;
                outcome.first_failure.get_or_insert(error);
                // An operation that fails at once must not become a busy loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    outcome
}

const DURATION: Duration = Duration::from_secs(10);

/// The cache refreshes a session when half of its lifetime remains: every 2 seconds.
const SESSION_LIFETIME: Duration = Duration::from_secs(4);
