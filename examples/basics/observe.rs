//! Events, the status, and a subscription to new tokens.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};

#[tokio::main]
async fn main() -> Result<(), token_cache_core::Error> {
    let cache = TokenCache::builder(source_fn(|| async {
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    }))
    .name("reader")
    .on_event(|event| println!("event: {event:?}"))
    .build();
    let mut tokens = cache.subscribe();
    let subscriber = tokio::spawn(async move { tokens.changed().await });
    let token = cache.get_with_times().await?;
    println!("{token:?}");
    println!("status: {:?}", cache.status());
    println!("subscriber got {:?}", subscriber.await.expect("no panic"));
    Ok(())
}
