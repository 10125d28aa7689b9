//! A database of RDS, whose passwords are signed with AWS credentials.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use sqlx::postgres::{PgConnectOptions, PgSslMode};
//! use token_cache_aws::AwsTokenCache;
//! use token_cache_clouds::rds;
//! use token_cache_core::TokenCache;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = "database.abc.eu-west-1.rds.amazonaws.com";
//! let aws = AwsTokenCache::from_env().await;
//! let passwords = rds::passwords(aws, "eu-west-1", host, 5432, "app");
//! let cache = TokenCache::builder(passwords).keep_warm(Duration::MAX).build();
//! let options = PgConnectOptions::new().host(host).port(5432).username("app").ssl_mode(PgSslMode::VerifyFull);
//! let pool = rds::pool(cache, options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A password is checked when a connection is opened, and never again: connections outlive it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::Url;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use token_cache_aws::AwsTokenCache;
use token_cache_core::{BoxError, Clock, Error, SystemClock, TemporaryToken, TokenCache, TokenSource, source_fn};

/// A pool whose new connections have the password that the cache has then. The cache should be kept warm: nobody else asks it.
/// It is kept until the pool is closed.
///
/// # Errors
///
/// If there is no first password.
pub async fn pool(cache: TokenCache<String>, options: PgConnectOptions) -> Result<PgPool, Error> {
    let mut passwords = cache.subscribe();
    let pool = PgPool::connect_lazy_with(options.clone().password(&*cache.get().await?));
    let of_task = pool.clone();
    tokio::spawn(async move {
        let follow = async {
            while let Some(password) = passwords.changed().await {
                of_task.set_connect_options(options.clone().password(&password));
            }
        };
        let _ = of_task.close_event().do_until(follow).await;
        drop(cache);
    });
    Ok(pool)
}

/// The passwords of `user`, as the database at `host` and `port` takes them.
pub fn passwords(
    aws: AwsTokenCache,
    region: &'static str,
    host: &'static str,
    port: u16,
    user: &'static str,
) -> impl TokenSource<Token = String> {
    source_fn(move || {
        let aws = aws.clone();
        async move {
            let credentials = aws.provide_credentials().await?;
            password(credentials, region, host, port, user, SystemClock::new().now().wall())
        }
    })
}

/// Signed now, it works for 15 minutes, and no longer than the credentials it is signed with.
fn password(
    credentials: Credentials,
    region: &str,
    host: &str,
    port: u16,
    user: &str,
    now: SystemTime,
) -> Result<TemporaryToken<String>, BoxError> {
    let expires_at = credentials.expiry().map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME));
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(LIFETIME);
    settings.signature_location = SignatureLocation::QueryParams;
    let identity = credentials.into();
    let signing = SigningParams::builder().identity(&identity).region(region).name("rds-db").time(now);
    let signing = signing.settings(settings).build()?.into();

    let parameters = [("Action", "connect"), ("DBUser", user)];
    let mut url = Url::parse_with_params(&format!("https://{host}:{port}/"), parameters)?;
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::empty())?;
    let (signature, _) = sign(request, &signing)?.into_parts();
    url.query_pairs_mut().extend_pairs(signature.params());
    let password = url.as_str().trim_start_matches("https://").to_owned();
    Ok(TemporaryToken::new(password, expires_at))
}

const LIFETIME: Duration = Duration::from_secs(15 * 60);
