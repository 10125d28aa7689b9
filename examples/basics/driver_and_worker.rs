//! A driver that has credentials sends each new token to a worker that has none.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};
use token_cache_fleet::{Keys, Utf8, open, pushed, seal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = Keys::new([7; 32]); // both sides have them
    let driver = TokenCache::builder(source_fn(|| async {
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    }))
    .build();
    let (pusher, source) = pushed();
    let worker = TokenCache::builder(source).build();

    // On the driver: for each token of `driver.subscribe()`.
    let token = driver.get_with_times().await?;
    let message = seal(&Utf8, &keys, "reader", &token.token, token.expires_at)?;
    // On the worker: for each message.
    pusher.push(open(&Utf8, &keys, "reader", &message)?);
    println!("the worker has {}", worker.get().await?);
    Ok(())
}
