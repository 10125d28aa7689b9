//! One token per tenant: keys are made when they are read, and share the limits of their issuer.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCaches, source_fn};

#[tokio::main]
async fn main() -> Result<(), token_cache_core::Error> {
    let tenants = TokenCaches::builder(|tenant: &String| {
        let token = format!("token of {tenant}"); // request it from the issuer here
        source_fn(move || {
            let token = token.clone();
            async move { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) }
        })
    })
    .max_keys(10_000)
    .fetches_per_second(100)
    .build();
    for tenant in ["acme", "initech", "acme"] {
        println!("{}", tenants.get(&tenant.to_owned()).await?);
    }
    println!("{:?}", tenants.status());
    Ok(())
}
