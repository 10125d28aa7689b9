//! A cache over any issuer: ten calls, one fetch.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};

#[tokio::main]
async fn main() -> Result<(), token_cache_core::Error> {
    let cache = TokenCache::builder(source_fn(|| async {
        println!("fetching"); // request a token from its issuer here
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    }))
    .build();
    for _ in 0..10 {
        cache.get().await?;
    }
    println!("{:?}", cache.status());
    Ok(())
}
