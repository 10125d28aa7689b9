//! A service answers 401: get another token, and leave the old one to all others until it is there.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};

#[tokio::main]
async fn main() -> Result<(), token_cache_core::Error> {
    let number = std::sync::atomic::AtomicU32::new(1);
    let cache = TokenCache::builder(source_fn(move || {
        let token = format!("token-{}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async { Ok::<_, std::io::Error>(TemporaryToken::expires_in(token, Duration::from_secs(3600))) }
    }))
    .min_refresh_interval(Duration::from_millis(10))
    .build();
    let mut token = cache.get().await?;
    if request(&token) == 401 {
        token = cache.replace(&token).await?;
    }
    println!("{} with {token}", request(&token));
    Ok(())
}

/// A service that has revoked the first token.
fn request(token: &str) -> u16 {
    if token == "token-1" { 401 } else { 200 }
}
