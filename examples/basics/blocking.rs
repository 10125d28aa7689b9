//! A synchronous program: no runtime, and the token is refreshed in the background all the same.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};

fn main() -> Result<(), token_cache_core::Error> {
    let cache = TokenCache::builder(source_fn(|| async {
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    }))
    .build();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = cache.clone();
            std::thread::spawn(move || cache.get_blocking())
        })
        .collect();
    for thread in threads {
        println!("{}", thread.join().expect("no panic")?);
    }
    Ok(())
}
