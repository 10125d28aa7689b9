//! One fetch for all processes of a host: two caches here, as two processes have them, and a directory.

use std::time::Duration;

use token_cache_core::{TemporaryToken, TokenCache, source_fn};
use token_cache_fleet::{Files, Keys, SharedSource, Utf8};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("token-cache-example-{}", std::process::id()));
    for process in 1..=2 {
        let issuer = source_fn(move || async move {
            println!("process {process} fetches");
            Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
        });
        // In your program: a name that says everything about the token, and `Keys::from_file`.
        let source = SharedSource::new(issuer, Utf8, Files::new(&directory)?, "reader", Keys::new([7; 32]));
        println!("process {process} has {}", TokenCache::builder(source).build().get().await?);
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
