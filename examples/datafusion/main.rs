//! DataFusion over S3 through the rotations of its credentials, beside a newer object_store on the same cache.
//!
//! DataFusion 55 is on object_store 0.13, so this is what it takes:
//!
//! ```toml
//! datafusion = "55"
//! object_store = { version = "0.13", features = ["aws"] }
//! token-cache-aws = { version = "0.1", features = ["object_store-0_13"] }
//! ```
//!
//! ```ignore
//! let aws = AwsTokenCache::from_env().await; // whatever the SDK's default chain finds
//! let s3 = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
//! let context = SessionContext::new();
//! context.register_object_store(ObjectStoreUrl::parse("s3://bucket")?.as_ref(), Arc::new(s3));
//! context.register_parquet("numbers", "s3://bucket/numbers.parquet", ParquetReadOptions::default()).await?;
//! ```
//!
//! The rest of this package is the proof. On loopback, with sessions of four seconds, DataFusion answers queries while a store
//! of object_store 0.14 reads the same file: no request fails, and the issuer is asked once a rotation for both.

mod kit;
mod lake;
mod report;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::lake::Lake;
use crate::report::{Report, Tally};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let report = run().await?;
    print!("{report}");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ten seconds of queries and reads at the same time, through the rotations of one cache.
async fn run() -> Result<Report> {
    let kit = kit::start().await?;
    let aws = kit::reader(&kit).await;
    let lake = Lake::over(&aws)?;
    lake.write().await?;
    lake.register().await?;
    let written = lake.read().await?;

    let until = Instant::now() + RUN;
    let (queries, reads) = tokio::join!(
        repeat(until, async |n| lake.query(n).await),
        repeat(until, async |_| {
            ensure!(lake.read().await? == written, "the file has come back changed");
            Ok(())
        }),
    );
    Ok(Report::new(queries, reads, &aws, &kit))
}

/// Does it again and again, and goes on after a failure.
async fn repeat(until: Instant, mut once: impl AsyncFnMut(u64) -> Result<()>) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        match once(tally.done).await {
            Ok(()) => tally.done += 1,
            Err(error) => {
                tally.failed += 1;
                tally.first_failure.get_or_insert(error);
                // A failure costs nothing here: do not turn it into a loop.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    tally
}

const RUN: Duration = Duration::from_secs(10);
