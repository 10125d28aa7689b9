//! Roles: any number of them on one base, and each fetch of a role uses the cached session of the base.

use token_cache_aws::{AssumeRole, AwsTokenCache};
use token_cache_testing::aws::FakeAws;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fake = FakeAws::builder().start().await?;
    let base = AwsTokenCache::from_sdk_config(&fake.sdk_config())?;
    for tenant in ["acme", "initech"] {
        let role = AssumeRole::new(format!("arn:aws:iam::222222222222:role/{tenant}")).external_id(tenant);
        let aws = base.assume_role(&role.tag("team", "data")).await;
        println!("{tenant}: {}", aws.get().await?.access_key_id());
    }
    println!("{} calls of AssumeRole", fake.issuer().assume_role_requests().len());
    Ok(())
}
