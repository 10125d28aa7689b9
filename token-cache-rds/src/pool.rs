//! [`pool`]: connections of sqlx with the current password.

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use token_cache_core::{Error, TokenCache};

use crate::password::Password;

/// Creates a pool that opens each new connection with the cache's current password.
///
/// Build the cache with [`keep_warm`](token_cache_core::TokenCacheBuilder::keep_warm), because the pool does not read it. A
/// background task holds the cache until the pool is closed.
///
/// # Errors
///
/// If the first password cannot be fetched.
///
/// ```
/// # use token_cache_core::TokenCache;
/// # use token_cache_rds::{Password, pool};
/// # async fn example(cache: TokenCache<Password>) -> Result<(), Box<dyn std::error::Error>> {
/// let options = "postgres://reader@database.example.eu-west-1.rds.amazonaws.com/data?sslmode=verify-full".parse()?;
/// let pool = pool(cache, options).await?;
/// let mut connection = pool.acquire().await?;
/// # Ok(())
/// # }
/// ```
pub async fn pool(cache: TokenCache<Password>, options: PgConnectOptions) -> Result<PgPool, Error> {
    let mut passwords = cache.subscribe();
    let pool = PgPool::connect_lazy_with(options.clone().password(cache.get().await?.secret()));
    tokio::spawn({
        let pool = pool.clone();
        async move {
            let update_password = async {
                while let Some(password) = passwords.changed().await {
                    pool.set_connect_options(options.clone().password(password.secret()));
                }
            };
            let _ = pool.close_event().do_until(update_password).await;
            drop(cache);
        }
    });
    Ok(pool)
}
