//! One Parquet file in S3, and two generations of object_store that come to it with the credentials of one cache.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use object_store::ObjectStoreExt;
use token_cache_aws::AwsTokenCache;

pub(crate) struct Lake {
    /// On object_store 0.13.
    datafusion: SessionContext,
    /// Of object_store 0.14.
    store: object_store::aws::AmazonS3,
}

impl Lake {
    pub(crate) fn over(aws: &AwsTokenCache) -> Result<Self> {
        let older = aws.configure(object_store_0_13::aws::AmazonS3Builder::new().with_bucket_name(BUCKET)).build()?;
        let datafusion = SessionContext::new();
        datafusion.register_object_store(ObjectStoreUrl::parse(format!("s3://{BUCKET}"))?.as_ref(), Arc::new(older));

        let store = aws.configure(object_store::aws::AmazonS3Builder::new().with_bucket_name(BUCKET)).build()?;
        Ok(Self { datafusion, store })
    }

    /// Writes the numbers from 1 to [`ROWS`], in ten row groups.
    pub(crate) async fn write(&self) -> Result<()> {
        let copy = format!(
            "COPY (SELECT value FROM generate_series(1, {ROWS})) TO 's3://{BUCKET}/{FILE}' \
             OPTIONS ('format.max_row_group_size' {})",
            ROWS / 10
        );
        self.datafusion.sql(&copy).await?.collect().await?;
        Ok(())
    }

    /// Makes the file a table of DataFusion.
    pub(crate) async fn register(&self) -> Result<()> {
        let url = format!("s3://{BUCKET}/{FILE}");
        Ok(self.datafusion.register_parquet("numbers", url, ParquetReadOptions::default()).await?)
    }

    /// Has DataFusion count and add up the numbers up to a limit, which is another one for each `n`.
    pub(crate) async fn query(&self, n: u64) -> Result<()> {
        let limit = 1 + (n as i64 * 7919) % ROWS;
        let sql = format!("SELECT count(*), sum(value) FROM numbers WHERE value <= {limit}");
        let batches = self.datafusion.sql(&sql).await?.collect().await?;
        let row = batches.first().context("DataFusion gave no answer")?;
        let answer = [0, 1].map(|column| row.column(column).as_primitive::<Int64Type>().value(0));
        ensure!(answer == [limit, limit * (limit + 1) / 2], "up to {limit}, DataFusion has come to {answer:?}");
        Ok(())
    }

    /// Reads the file as it is, through the other store.
    pub(crate) async fn read(&self) -> Result<Bytes> {
        Ok(self.store.get(&FILE.into()).await?.bytes().await?)
    }
}

pub(crate) const BUCKET: &str = "bucket";

const FILE: &str = "numbers.parquet";

const ROWS: i64 = 100_000;
