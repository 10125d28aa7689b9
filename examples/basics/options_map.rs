//! A map of options, as query engines have it: what it sets wins, and the environment fills in the rest.

use std::collections::HashMap;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use token_cache_aws::AwsTokenCache;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = HashMap::from([("aws_region", "eu-north-1"), ("aws_bucket_name", "bucket")]);
    let mut builder = AmazonS3Builder::new();
    for (key, value) in &options {
        builder = builder.with_config(key.parse::<AmazonS3ConfigKey>()?, *value);
    }
    // Explicit keys in the options would be used as they are. Without them, the credentials are those of the cache.
    let aws = AwsTokenCache::builder().profile("reader").region("us-east-1").load().await;
    let store = aws.configure(builder).build()?;
    println!("{store}");
    Ok(())
}
