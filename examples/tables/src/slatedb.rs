//! SlateDB takes any object store.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::client::ReqwestConnector;
use slatedb::{Db, DbBuilder};
use token_cache_aws::AwsTokenCache;

/// A database in a bucket.
///
/// # Errors
///
/// If the bucket has no name, for example.
pub fn db(path: &str, bucket: &str, aws: &AwsTokenCache) -> object_store::Result<DbBuilder<String>> {
    let builder = aws.configure(AmazonS3Builder::new().with_bucket_name(bucket));
    let store = builder.with_http_connector(aws.retry_rejected(ReqwestConnector::default())).build()?;
    Ok(Db::builder(path.to_owned(), Arc::new(store)))
}
