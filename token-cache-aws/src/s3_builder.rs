//! [`S3Builder`]: the `AmazonS3Builder` of each object_store version.

use std::fmt;

use crate::cache::AwsTokenCache;
use crate::error::is_no_credentials;

/// An `AmazonS3Builder` of an object_store version whose feature is enabled. See [`AwsTokenCache::configure`].
pub trait S3Builder: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn set_endpoint_config(self, aws: &AwsTokenCache) -> Self;
    #[doc(hidden)]
    fn set_credentials(self, aws: &AwsTokenCache) -> Self;
    #[doc(hidden)]
    fn set_anonymous(self) -> Self;
}

impl AwsTokenCache {
    /// Sets these credentials, and the region and endpoint of the same configuration, on an `AmazonS3Builder` of any
    /// object_store version whose feature is enabled. A region or an endpoint that the builder has already stays. If the
    /// endpoint of the configuration is plain `http`, the builder allows HTTP.
    ///
    /// If the builder has its own access key, set in code or read by `AmazonS3Builder::from_env`, and the credentials
    /// of this cache are of another one, every request fails, because one of the two identities was not meant.
    ///
    /// FIPS and dual stack endpoints, if they are configured, and those of other partitions such as China are set as the
    /// SDK does, with path-style requests. object_store asks for the sessions of directory buckets (S3 Express) at an
    /// endpoint that is neither, so every request of such a store fails.
    ///
    /// ```
    /// # use object_store::{ObjectStoreExt, aws::AmazonS3Builder, path::Path};
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let store = aws.configure(AmazonS3Builder::new().with_bucket_name("bucket")).build()?;
    /// store.put(&Path::from("object"), "".into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn configure<B: S3Builder>(&self, builder: B) -> B {
        builder.set_endpoint_config(self).set_credentials(self)
    }

    /// Same as [`configure`](Self::configure), except that requests are not signed if no credentials are configured,
    /// for buckets with public access. If the builder has its own access key, they are signed with that.
    ///
    /// This waits for the first credentials. Requests are anonymous only if every provider of the chain reports that
    /// it is not configured ([`is_no_credentials`]).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), if credentials are configured and cannot be fetched.
    ///
    /// ```
    /// # use object_store::aws::AmazonS3Builder;
    /// # use token_cache_aws::AwsTokenCache;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kit = token_cache_testing::aws::FakeAws::builder().start().await?;
    /// # kit.s3().create_bucket("bucket")?;
    /// # let config = kit.sdk_config();
    /// # let aws = AwsTokenCache::from_sdk_config(&config)?;
    /// let builder = AmazonS3Builder::new().with_bucket_name("bucket");
    /// let store = aws.configure_or_anonymous(builder).await?.build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn configure_or_anonymous<B: S3Builder>(&self, builder: B) -> Result<B, token_cache_core::Error> {
        match self.get().await {
            Ok(_) => Ok(self.configure(builder)),
            Err(error) if is_no_credentials(&error) => Ok(builder.set_endpoint_config(self).set_anonymous()),
            Err(error) => Err(error),
        }
    }
}

/// In place of the credentials of a cache, for a builder whose other settings contradict the configuration.
struct Guarded {
    guard: Guard,
    aws: AwsTokenCache,
}

enum Guard {
    /// The builder has an access key with this id.
    OnlyKey(String),
    NoSessionEndpoint,
}

// Leaves out the key: a store prints its provider.
impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.aws.fmt(f)
    }
}

/// Why every request fails.
#[derive(Debug, thiserror::Error)]
enum GuardError {
    #[error(
        "the AmazonS3Builder has an access key, and `configure` has set credentials of another one: remove the key, or do not \
         call `configure`"
    )]
    OtherKey,
    #[error(
        "object_store has no FIPS or dual stack endpoint for the sessions of directory buckets (S3 Express): unset \
         AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or use another bucket"
    )]
    NoSessionEndpoint,
}

mod sealed {
    #![allow(unnameable_types, reason = "this seals the trait")]

    /// Prevents implementations in other crates.
    pub trait Sealed {}
}

macro_rules! s3_builder {
    ($feature:literal, $object_store:ident) => {
        #[cfg(feature = $feature)]
        const _: () = {
            use std::pin::Pin;
            use std::sync::Arc;

            use $object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
            use $object_store::{CredentialProvider, Error, Result};

            impl sealed::Sealed for AmazonS3Builder {}

            impl CredentialProvider for Guarded {
                type Credential = AwsCredential;

                fn get_credential<'a, 'b>(
                    &'a self,
                ) -> Pin<Box<dyn Future<Output = Result<Arc<AwsCredential>>> + Send + 'b>>
                where
                    'a: 'b,
                    Self: 'b,
                {
                    Box::pin(async {
                        let error = match &self.guard {
                            Guard::NoSessionEndpoint => GuardError::NoSessionEndpoint,
                            Guard::OnlyKey(key_id) => {
                                let credential = CredentialProvider::get_credential(&self.aws).await?;
                                if credential.key_id == *key_id {
                                    return Ok(credential);
                                }
                                GuardError::OtherKey
                            }
                        };
                        Err(Error::Generic { store: "TokenCache", source: Box::new(error) })
                    })
                }
            }

            impl S3Builder for AmazonS3Builder {
                fn set_endpoint_config(mut self, aws: &AwsTokenCache) -> Self {
                    let mut region = set_value(&self, AmazonS3ConfigKey::Region);
                    if let (None, Some(configured)) = (&region, aws.region()) {
                        self = self.with_region(configured);
                        region = Some(configured.to_owned());
                    }
                    if set_value(&self, AmazonS3ConfigKey::Endpoint).is_some() {
                        return self;
                    }
                    if let Some(endpoint) = aws.endpoint().for_store(region.as_deref()) {
                        let is_configured = aws.s3_endpoint_url().is_some();
                        self = self.with_allow_http(endpoint.starts_with("http:")).with_endpoint(endpoint);
                        if !is_configured {
                            // Otherwise object_store expects the name of the bucket in the endpoint.
                            self = self.with_virtual_hosted_style_request(false);
                        }
                    }
                    self
                }

                fn set_credentials(self, aws: &AwsTokenCache) -> Self {
                    let guard = if lacks_session_endpoint(&self, aws) {
                        Some(Guard::NoSessionEndpoint)
                    } else {
                        set_value(&self, AmazonS3ConfigKey::AccessKeyId).map(Guard::OnlyKey)
                    };
                    match guard {
                        Some(guard) => self.with_credentials(Arc::new(Guarded { guard, aws: aws.clone() })),
                        None => self.with_credentials(Arc::new(aws.clone())),
                    }
                }

                fn set_anonymous(self) -> Self {
                    match set_value(&self, AmazonS3ConfigKey::AccessKeyId) {
                        Some(_) => self,
                        None => self.with_skip_signature(true),
                    }
                }
            }

            /// Whether object_store lacks the endpoint that is configured.
            fn lacks_session_endpoint(builder: &AmazonS3Builder, aws: &AwsTokenCache) -> bool {
                let is_express = set_value(builder, AmazonS3ConfigKey::S3Express).is_some_and(|value| {
                    // As object_store reads it.
                    ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
                });
                is_express && aws.endpoint().has_variant()
            }

            /// A value that is blank counts as not set.
            fn set_value(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> Option<String> {
                builder.get_config_value(&key).filter(|value| !value.trim().is_empty())
            }
        };
    };
}

s3_builder!("object_store-0_12", object_store_0_12);
s3_builder!("object_store-0_13", object_store_0_13);
s3_builder!("object_store-0_14", object_store);
