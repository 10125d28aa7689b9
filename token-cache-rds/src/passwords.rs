//! [`Passwords`]: signs passwords with AWS credentials.

use std::iter;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use token_cache_aws::AwsTokenCache;
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, TokenSource, async_trait, permanent};
use url::Url;

use crate::password::Password;

/// A source of passwords for one database user. A password is valid for 15 minutes, and no longer than the AWS credentials
/// that sign it.
#[derive(Clone, Debug)]
pub struct Passwords {
    aws: AwsTokenCache,
    region: Option<String>,
    host: String,
    port: u16,
    user: String,
}

impl Passwords {
    /// Passwords of `user`, signed with the credentials and for the region of `aws`. `host` is the endpoint of the database: RDS
    /// rejects a password that is signed for a custom DNS name.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_rds::Passwords;
    /// # async fn example(aws: AwsTokenCache) -> Result<(), Box<dyn std::error::Error>> {
    /// let passwords = Passwords::new(aws, "database.abc.eu-west-1.rds.amazonaws.com", 5432, "app");
    /// let cache = TokenCache::builder(passwords).build();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(aws: AwsTokenCache, host: impl Into<String>, port: u16, user: impl Into<String>) -> Self {
        Self { region: aws.region().map(str::to_owned), aws, host: host.into(), port, user: user.into() }
    }

    /// The region of the database, if it is not the one of the credentials.
    ///
    /// ```
    /// # use token_cache_aws::AwsTokenCache;
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_rds::Passwords;
    /// # async fn example(aws: AwsTokenCache) -> Result<(), Box<dyn std::error::Error>> {
    /// let passwords = Passwords::new(aws, "database.abc.eu-west-1.rds.amazonaws.com", 5432, "app").region("eu-west-1");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }
}

#[async_trait]
impl TokenSource for Passwords {
    type Token = Password;

    async fn fetch(&self) -> Result<TemporaryToken<Password>, BoxError> {
        let region =
            self.region.as_deref().ok_or_else(|| permanent("no region: set `AWS_REGION` or Passwords::region"))?;
        let (credentials, now) = (self.aws.get().await?, SystemClock::new().now().wall());
        let password = Password::new(self.sign(region, &credentials, now)?);
        Ok(TemporaryToken::new(password, expiry(&credentials, now)))
    }
}

impl Passwords {
    fn sign(&self, region: &str, credentials: &Credentials, now: SystemTime) -> Result<String, BoxError> {
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(LIFETIME);
        settings.signature_location = SignatureLocation::QueryParams;
        let identity = credentials.clone().into();
        let signing = SigningParams::builder().identity(&identity).region(region).name("rds-db").time(now);
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

    use token_cache_core::{ErrorKind, TokenCache};
    use token_cache_test_support::TraceLog;

    use super::*;

    /// The signatures are from botocore's `generate_db_auth_token`.
    #[test]
    fn a_password_equals_the_one_from_botocore() {
        for (session, signature) in [
            (None, "519c25515c43627dd996d1d66eeb6f50add67359b43133807336600252e5736e"),
            (Some("sess/ion+token=="), "db72feb5fbe2f050d616ab54c9c72f5fb290cffedf366dfc114a9bace6ca466e"),
        ] {
            let password = passwords().sign("eu-west-1", &credentials(session, None), now()).unwrap();
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
        let (_, signature) = password.secret().rsplit_once("X-Amz-Signature=").unwrap();
        let text = format!("{cache:?} {:?} {password:?} {:?}", cache.status(), passwords());
        assert!(!text.contains(signature) && !text.contains("wJalr"), "{text}");
    }

    /// SECURITY.md names the crates that show a secret at `TRACE`.
    #[tokio::test]
    async fn p22_only_documented_crates_log_a_secret_at_trace() {
        let log = TraceLog::start();
        let aws = AwsTokenCache::from_provider(credentials(Some("CanarySession"), None));
        let cache = TokenCache::builder(Passwords::new(aws, "host", 5432, "app").region("eu-west-1")).build();
        let password = cache.get().await.unwrap();
        let (_, signature) = password.secret().rsplit_once("X-Amz-Signature=").unwrap();
        let shown = log.crates_that_show(&["CanarySession", "wJalr", signature], &["TRACE", "token_cache_core"]);
        let security = include_str!("../../SECURITY.md");
        for name in shown {
            assert!(!name.starts_with("token_cache") && security.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[tokio::test]
    async fn a_missing_region_is_a_permanent_error_that_says_what_to_do() {
        let aws = AwsTokenCache::from_provider(credentials(None, None));
        let error = TokenCache::builder(Passwords::new(aws, "host", 5432, "app")).build().get().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }

    fn passwords() -> Passwords {
        let aws = AwsTokenCache::from_provider(credentials(Some("session"), None));
        Passwords::new(aws, "database.abc.eu-west-1.rds.amazonaws.com", 5432, "app").region("eu-west-1")
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
