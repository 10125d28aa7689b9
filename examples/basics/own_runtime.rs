//! Fetches on a runtime of their own, so that busy workers cannot delay them.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().thread_name("io").build()?;
    let cache = TokenCache::builder(source_fn(|| async {
        println!("fetched on the thread {:?}", std::thread::current().name());
        Ok::<_, std::io::Error>(TemporaryToken::expires_in("token", Duration::from_secs(3600)))
    }))
    .runtime(io.handle().clone())
    .build();
    let cpu = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("cpu").build()?;
    let token = cpu.block_on(async move { cache.get().await })?;
    println!("{token}");
    Ok(())
}
