//! RDS for PostgreSQL with IAM authentication, where a password is signed with AWS credentials:
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>.
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
//! let aws = AwsTokenCache::from_env().await;
//! let (host, user) = ("database.abc.eu-west-1.rds.amazonaws.com", "app");
//! let options = PgConnectOptions::new().host(host).port(5432).username(user).ssl_mode(PgSslMode::VerifyFull);
//! let region = aws.region().unwrap_or("eu-west-1").to_owned();
//! let passwords = rds::Passwords { aws, region, host: host.to_owned(), port: 5432, user: user.to_owned() };
//! let cache = TokenCache::builder(passwords).keep_warm(Duration::MAX).build();
//! let pool = rds::pool(cache, options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The database checks a password only when a connection is opened. Open connections outlive their password.

use std::iter;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::Url;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use token_cache_aws::AwsTokenCache;
use token_cache_core::{BoxError, Clock, Error, SystemClock, TemporaryToken, TokenCache, TokenSource, async_trait};

/// Creates a pool that opens each new connection with the cache's current password.
///
/// Build the cache with [`keep_warm`](token_cache_core::TokenCacheBuilder::keep_warm), because the pool does not read it. A
/// background task holds the cache until the pool is closed.
///
/// # Errors
///
/// If the first password cannot be fetched.
pub async fn pool(cache: TokenCache<String>, options: PgConnectOptions) -> Result<PgPool, Error> {
    let mut passwords = cache.subscribe();
    let pool = PgPool::connect_lazy_with(options.clone().password(&cache.get().await?));
    tokio::spawn({
        let pool = pool.clone();
        async move {
            let update_password = async {
                while let Some(password) = passwords.changed().await {
                    pool.set_connect_options(options.clone().password(&password));
                }
            };
            let _ = pool.close_event().do_until(update_password).await;
            drop(cache);
        }
    });
    Ok(pool)
}

/// A source of passwords for one database user. A password is valid for 15 minutes, and no longer than the AWS credentials
/// that sign it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "meant to be copied")]
pub struct Passwords {
    /// The credentials that sign the passwords.
    pub aws: AwsTokenCache,
    /// The region of the database.
    pub region: String,
    /// The endpoint of the database. RDS rejects a password that is signed for a custom DNS name.
    pub host: String,
    /// The port of the database.
    pub port: u16,
    /// The database user.
    pub user: String,
}

#[async_trait]
impl TokenSource for Passwords {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        let (credentials, now) = (self.aws.get().await?, SystemClock::new().now().wall());
        Ok(TemporaryToken::new(self.sign(&credentials, now)?, expiry(&credentials, now)))
    }
}

impl Passwords {
    fn sign(&self, credentials: &Credentials, now: SystemTime) -> Result<String, BoxError> {
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(LIFETIME);
        settings.signature_location = SignatureLocation::QueryParams;
        let identity = credentials.clone().into();
        let signing = SigningParams::builder().identity(&identity).region(&self.region).name("rds-db").time(now);
        let signing = signing.settings(settings).build()?.into();

        let parameters = [("Action", "connect"), ("DBUser", &self.user)];
        let mut url = Url::parse_with_params(&format!("https://{}:{}/", self.host, self.port), parameters)?;
        let request = SignableRequest::new("GET", url.as_str(), iter::empty(), SignableBody::empty())?;
        let (signature, _) = sign(request, &signing)?.into_parts();
        url.query_pairs_mut().extend_pairs(signature.params());
        Ok(url.as_str().trim_start_matches("https://").to_owned())
    }
}

fn expiry(credentials: &Credentials, now: SystemTime) -> SystemTime {
    credentials.expiry().map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME))
}

/// As RDS documents it:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The signatures are from botocore's `generate_db_auth_token`.
    #[test]
    fn a_password_equals_the_one_from_botocore() {
        for (session, signature) in [
            (None, "519c25515c43627dd996d1d66eeb6f50add67359b43133807336600252e5736e"),
            (Some("sess/ion+token=="), "db72feb5fbe2f050d616ab54c9c72f5fb290cffedf366dfc114a9bace6ca466e"),
        ] {
            let password = passwords().sign(&credentials(session, None), now()).unwrap();
            let (target, query) = password.split_once("/?").unwrap();
            assert_eq!(target, "database.abc.eu-west-1.rds.amazonaws.com:5432");
            let mut expected = BTreeMap::from([
                ("Action", "connect"),
                ("DBUser", "app"),
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                ("X-Amz-Credential", "AKIDEXAMPLE/20260102/eu-west-1/rds-db/aws4_request"),
                ("X-Amz-Date", "20260102T030405Z"),
                ("X-Amz-Expires", "900"),
                ("X-Amz-SignedHeaders", "host"),
                ("X-Amz-Signature", signature),
            ]);
            expected.extend(session.map(|session| ("X-Amz-Security-Token", session)));
            let url = Url::parse(&format!("https://host/?{query}")).unwrap();
            let parameters: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
            let expected: BTreeMap<_, _> = expected.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            assert_eq!(parameters, expected);
        }
    }

    #[test]
    fn a_password_expires_with_its_credentials_or_after_15_minutes() {
        for (credentials_ttl, password_ttl) in [(None, 900), (Some(3600), 900), (Some(901), 900), (Some(60), 60)] {
            let credentials_expiry = credentials_ttl.map(|ttl| now() + Duration::from_secs(ttl));
            let credentials = credentials(None, credentials_expiry);
            assert_eq!(expiry(&credentials, now()), now() + Duration::from_secs(password_ttl));
        }
    }

    #[tokio::test]
    async fn debug_output_contains_no_password() {
        let cache = TokenCache::builder(passwords()).build();
        let password = cache.get().await.unwrap();
        let (_, signature) = password.rsplit_once("X-Amz-Signature=").unwrap();
        let text = format!("{cache:?} {:?}", cache.status());
        assert!(!text.contains(signature) && !text.contains(&*password), "{text}");
    }

    fn passwords() -> Passwords {
        let aws = AwsTokenCache::from_provider(credentials(Some("session"), None));
        let (region, host) = ("eu-west-1".to_owned(), "database.abc.eu-west-1.rds.amazonaws.com".to_owned());
        Passwords { aws, region, host, port: 5432, user: "app".to_owned() }
    }

    fn credentials(session: Option<&str>, expiry: Option<SystemTime>) -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIDEXAMPLE", secret, session.map(ToOwned::to_owned), expiry, "test")
    }

    /// 2026-01-02T03:04:05Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }
}
