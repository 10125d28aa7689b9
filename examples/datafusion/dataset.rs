//! [`Dataset`]: a Parquet file in S3, read by DataFusion and by a newer object_store.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use object_store::ObjectStoreExt;
use token_cache_aws::AwsTokenCache;

pub(crate) struct Dataset {
    /// Uses object_store 0.13.
    datafusion: SessionContext,
    /// Uses object_store 0.14.
    store: object_store::aws::AmazonS3,
}

impl Dataset {
    /// Both stores get their credentials from `aws`.
    pub(crate) fn new(aws: &AwsTokenCache) -> Result<Self> {
        let s3 = aws.configure(object_store_0_13::aws::AmazonS3Builder::new().with_bucket_name(BUCKET)).build()?;
        let datafusion = SessionContext::new();
        datafusion.register_object_store(ObjectStoreUrl::parse(format!("s3://{BUCKET}"))?.as_ref(), Arc::new(s3));

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

    /// Registers the file as a table of DataFusion.
    pub(crate) async fn register(&self) -> Result<()> {
        let url = format!("s3://{BUCKET}/{FILE}");
        Ok(self.datafusion.register_parquet("numbers", url, ParquetReadOptions::default()).await?)
    }

    /// Counts and sums the numbers up to a limit with DataFusion, and checks the result. The limit depends on `n`.
    pub(crate) async fn query(&self, n: u64) -> Result<()> {
        let limit = 1 + (n as i64 * 7919) % ROWS;
        let sql = format!("SELECT count(*), sum(value) FROM numbers WHERE value <= {limit}");
        let batches = self.datafusion.sql(&sql).await?.collect().await?;
        let row = batches.first().context("DataFusion returned no rows")?;
        let result = [0, 1].map(|column| row.column(column).as_primitive::<Int64Type>().value(0));
        ensure!(result == [limit, limit * (limit + 1) / 2], "wrong result for the limit {limit}: {result:?}");
        Ok(())
    }

    /// Reads the whole file with object_store 0.14.
    pub(crate) async fn read(&self) -> Result<Bytes> {
        Ok(self.store.get(&FILE.into()).await?.bytes().await?)
    }
}

pub(crate) const BUCKET: &str = "bucket";

const FILE: &str = "numbers.parquet";

const ROWS: i64 = 100_000;
