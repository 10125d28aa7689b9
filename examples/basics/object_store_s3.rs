//! Objects in S3, with cached credentials. S3 and its credentials are on loopback here.

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use token_cache_aws::AwsTokenCache;
use token_cache_testing::aws::FakeAws;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    token_cache_examples::install_crypto(); // only because of how the examples are built
    let fake = FakeAws::builder().start().await?;
    fake.s3().create_bucket("bucket")?;

    // In your program: `AwsTokenCache::from_env().await`.
    let aws = AwsTokenCache::from_sdk_config(&fake.sdk_config())?;
    let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket").with_allow_http(true)).build()?;
    let path = Path::from("hello");
    store.put(&path, "world".into()).await?;
    println!("{:?}", store.get(&path).await?.bytes().await?);
    println!("{} sessions for {} requests", fake.issuer().counts().sessions, fake.s3().counts().requests);
    Ok(())
}
