//! [`credential_cache`]: a cache with the defaults for AWS credentials.

use std::time::Duration;

use aws_credential_types::Credentials;
use token_cache_core::{TokenCache, TokenCacheBuilder, TokenSource};

/// Starts to configure a cache of AWS credentials.
///
/// The defaults are those of [`TokenCache::builder`], except:
///
/// - `expiry_buffer`: by the lifetime of the credentials. Up to 20 minutes: 5 minutes, at most half of the lifetime.
///   Below 90 minutes: 15 minutes. From 90 minutes: 60 minutes. These are the windows of the AWS SDKs
///   ([botocore](https://github.com/boto/botocore/pull/3760),
///   [Rust](https://github.com/smithy-lang/smithy-rs/pull/4774)).
/// - `fetch_timeout`: 60 seconds, the operation timeout that `defaults` sets.
/// - `token_eq`: two credentials are the same token if their access key id, secret access key and session token are
///   equal. If the issuer returns credentials that a service has rejected once more, it is believed: they stay. A
///   corrected secret for the same access key id is another token.
/// - `name`: `aws`.
///
/// For the default chain or a profile, use `AwsTokenCache::builder`, which has these defaults too. This function is for any
/// other source:
///
/// ```
/// # use std::time::Duration;
/// # #[cfg(feature = "chain")]
/// # async fn example() -> Result<(), token_cache_aws::ConfigError> {
/// use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache, defaults};
///
/// let config = defaults().load().await;
/// let cache = credential_cache(SdkSource::from_sdk_config(&config)?).min_ttl(Duration::from_secs(210)).build();
/// let aws = AwsTokenCache::new(cache, &config);
/// # Ok(())
/// # }
/// ```
pub fn credential_cache(source: impl TokenSource<Token = Credentials>) -> TokenCacheBuilder<Credentials> {
    TokenCache::builder(source)
        .expiry_buffer_by(expiry_buffer)
        .fetch_timeout(OPERATION_TIMEOUT)
        .token_eq(is_same)
        .name("aws")
}

/// Whether two credentials sign alike.
pub(crate) fn is_same(a: &Credentials, b: &Credentials) -> bool {
    a.access_key_id() == b.access_key_id()
        && a.secret_access_key() == b.secret_access_key()
        && a.session_token() == b.session_token()
}

/// How long before their expiry credentials of this lifetime are refreshed. A longer buffer hides a longer outage of
/// the issuer.
pub(crate) fn expiry_buffer(lifetime: Duration) -> Duration {
    const MINUTE: Duration = Duration::from_secs(60);
    if lifetime <= 20 * MINUTE {
        (5 * MINUTE).min(lifetime / 2)
    } else if lifetime < 90 * MINUTE {
        15 * MINUTE
    } else {
        60 * MINUTE
    }
}

/// The limit of one SDK operation, retries included. One fetch may take several operations and gets no more time than
/// this.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_compared_by_all_their_parts() {
        let credentials =
            |key, secret, token: Option<&str>| Credentials::new(key, secret, token.map(Into::into), None, "");
        let one = credentials("key", "secret", Some("token"));
        assert!(is_same(&one, &credentials("key", "secret", Some("token"))));
        for other in [("other", "secret", Some("token")), ("key", "other", Some("token")), ("key", "secret", None)] {
            assert!(!is_same(&one, &credentials(other.0, other.1, other.2)), "{other:?}");
        }
    }

    #[test]
    fn expiry_buffer_follows_the_lifetime() {
        let minutes = |lifetime: f64| expiry_buffer(Duration::from_secs_f64(lifetime * 60.0)).as_secs_f64() / 60.0;
        let lifetimes = [0.1, 8.0, 15.0, 20.0, 20.1, 60.0, 89.9, 90.0, 720.0];
        assert_eq!(lifetimes.map(minutes), [0.05, 4.0, 5.0, 5.0, 15.0, 15.0, 15.0, 60.0, 60.0]);
    }
}
