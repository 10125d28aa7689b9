//! RDS: PostgreSQL behind a proxy (`database.py`) in which ministack checks the passwords.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_credential_types::Credentials;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use token_cache_aws::{AssumeRole, AwsTokenCache, defaults};
use token_cache_core::TokenCache;
use token_cache_rds::{Passwords, pool};
use token_cache_test_support::wait_until;

use crate::{LIFETIME, ROTATIONS, SECOND, setting};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack and PostgreSQL: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_login_fails_while_sessions_rotate() {
    let aws = role().await;
    let cache = TokenCache::builder(passwords(&aws)).keep_warm(Duration::MAX).build();
    let options = PgConnectOptions::new().host("127.0.0.1").port(port()).username("app").database("postgres");
    let options = options.ssl_mode(PgSslMode::Disable);
    let pool = pool(cache.clone(), options.clone()).await.unwrap();
    let first = cache.get().await.unwrap();

    wait_until("rotations", async || {
        let mut connection = pool.acquire().await.unwrap();
        let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(one, 1);
        connection.close().await.unwrap();
        keys().len() as u64 > ROTATIONS
    })
    .await;
    println!("RDS: {} logins, {} sessions, {} passwords", logins().len(), keys().len(), cache.status().generation);

    // No later than this, the first password has expired.
    tokio::time::sleep(LIFETIME).await;
    let expired = options.password(first.secret()).connect().await.unwrap_err();
    assert!(expired.to_string().contains("password authentication failed"), "{expired}");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack and PostgreSQL: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn the_pool_keeps_the_cache_until_it_is_closed() {
    let cache = TokenCache::builder(passwords(&role().await)).build();
    let weak = cache.downgrade();
    let pool = pool(cache, PgConnectOptions::new()).await.unwrap();
    tokio::time::sleep(SECOND / 10).await;
    assert!(weak.upgrade().is_some());
    pool.close().await;
    wait_until("the end of the cache", async || weak.upgrade().is_none()).await;
}

/// The access keys of the sessions with whose passwords there was a login.
fn keys() -> BTreeSet<String> {
    logins().iter().map(|login| login.strip_prefix("ok ").expect("a login that was accepted").to_owned()).collect()
}

fn logins() -> Vec<String> {
    std::fs::read_to_string(setting("TOKEN_CACHE_DATABASE_LOGINS")).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn passwords(aws: &AwsTokenCache) -> Passwords {
    Passwords::new(aws.clone(), "127.0.0.1", port(), "app")
}

fn port() -> u16 {
    setting("TOKEN_CACHE_DATABASE_PORT").parse().unwrap()
}

async fn role() -> AwsTokenCache {
    let root = Credentials::new("test", "test", None, None, "test");
    let config = defaults().region("us-east-1").endpoint_url(setting("TOKEN_CACHE_MINISTACK"));
    let base = AwsTokenCache::from_sdk_config(&config.credentials_provider(root).load().await).unwrap();
    let role = AssumeRole::new("arn:aws:iam::000000000000:role/database").session_name("database");
    base.assume_role(&role.duration(LIFETIME)).await
}
