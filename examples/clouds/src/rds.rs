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
//! A password is checked when a connection is opened, and never again: connections outlive it.

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

/// A pool whose new connections have the password that the cache has then. The cache should be kept warm: nobody else asks it.
/// It is kept until the pool is closed.
///
/// # Errors
///
/// If there is no first password.
pub async fn pool(cache: TokenCache<String>, options: PgConnectOptions) -> Result<PgPool, Error> {
    let mut passwords = cache.subscribe();
    let pool = PgPool::connect_lazy_with(options.clone().password(&cache.get().await?));
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

/// The passwords of a user, as the database takes them.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "to be copied")]
pub struct Passwords {
    /// What they are signed with.
    pub aws: AwsTokenCache,
    /// Where the database is, by its own name: not by one that points to it.
    pub region: String,
    /// See `region`.
    pub host: String,
    /// See `region`.
    pub port: u16,
    /// Who logs in.
    pub user: String,
}

#[async_trait]
impl TokenSource for Passwords {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        let (credentials, now) = (self.aws.get().await?, SystemClock::new().now().wall());
        Ok(TemporaryToken::new(self.sign(&credentials, now)?, end(&credentials, now)))
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

/// It works for 15 minutes, and no longer than the credentials it is signed with.
fn end(credentials: &Credentials, now: SystemTime) -> SystemTime {
    credentials.expiry().map_or(now + LIFETIME, |expiry| expiry.min(now + LIFETIME))
}

const LIFETIME: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What botocore's `generate_db_auth_token` gives for the same.
    #[test]
    fn a_password_is_the_one_that_awss_own_signer_gives() {
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
    fn it_expires_after_15_minutes_and_no_later_than_what_it_is_signed_with() {
        for (credentials_left, left) in [(None, 900), (Some(3600), 900), (Some(901), 900), (Some(60), 60)] {
            let expiry = credentials_left.map(|left| now() + Duration::from_secs(left));
            assert_eq!(end(&credentials(None, expiry), now()), now() + Duration::from_secs(left));
        }
    }
    #[tokio::test]
    async fn nothing_that_can_be_printed_holds_a_password() {
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
