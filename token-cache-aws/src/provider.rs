//! The object_store side: one macro over its versions.

use aws_credential_types::Credentials;
use token_cache_core::{Error, TokenCache, View};

use crate::cache::AwsTokenCache;
use crate::error::is_no_credentials;

/// The same credentials in the shape of each version of object_store, converted once per token.
#[derive(Clone)]
pub(crate) struct Views {
    #[cfg(feature = "object_store-0_12")]
    v0_12: View<Credentials, object_store_0_12::aws::AwsCredential>,
    #[cfg(feature = "object_store-0_13")]
    v0_13: View<Credentials, object_store_0_13::aws::AwsCredential>,
    #[cfg(feature = "object_store-0_14")]
    v0_14: View<Credentials, object_store::aws::AwsCredential>,
}

impl Views {
    pub(crate) fn of(cache: &TokenCache<Credentials>) -> Self {
        Self {
            #[cfg(feature = "object_store-0_12")]
            v0_12: cache.view(v0_12::convert),
            #[cfg(feature = "object_store-0_13")]
            v0_13: cache.view(v0_13::convert),
            #[cfg(feature = "object_store-0_14")]
            v0_14: cache.view(v0_14::convert),
        }
    }
}

/// What an `AmazonS3Builder` of object_store is given by [`AwsTokenCache::configure`].
pub trait S3Builder: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn at(self, aws: &AwsTokenCache) -> Self;
    #[doc(hidden)]
    fn signed(self, aws: &AwsTokenCache) -> Self;
    #[doc(hidden)]
    fn unsigned(self) -> Self;
}

impl AwsTokenCache {
    /// Gives an `AmazonS3Builder`, of any version whose feature is on, these credentials and the region and endpoint of
    /// the same configuration. An endpoint that is plain `http` is allowed.
    #[must_use]
    pub fn configure<B: S3Builder>(&self, builder: B) -> B {
        builder.at(self).signed(self)
    }

    /// As [`configure`](Self::configure), but where there are no credentials at all the requests are not signed, for buckets
    /// that are open to everybody.
    ///
    /// It waits for the first credentials. Only a chain whose every link says that it is not configured makes the requests
    /// anonymous ([`is_no_credentials`]).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get): credentials that are configured and cannot be had are an error.
    pub async fn configure_or_anonymous<B: S3Builder>(&self, builder: B) -> Result<B, Error> {
        match self.get().await {
            Ok(_) => Ok(self.configure(builder)),
            Err(error) if is_no_credentials(&error) => Ok(builder.at(self).unsigned()),
            Err(error) => Err(error),
        }
    }
}

mod sealed {
    #![allow(unnameable_types, reason = "that is what seals it")]

    /// Only this crate says what a builder is.
    pub trait Sealed {}
}

macro_rules! provider {
    ($feature:literal, $object_store:ident, $version:ident) => {
        #[cfg(feature = $feature)]
        pub(crate) mod $version {
            use std::sync::Arc;

            use async_trait::async_trait;
            use aws_credential_types::Credentials;
            use $object_store::aws::{AmazonS3Builder, AwsCredential};
            use $object_store::{CredentialProvider, Error, Result};

            use super::{S3Builder, sealed};
            use crate::cache::AwsTokenCache;

            pub(crate) fn convert(credentials: &Credentials) -> AwsCredential {
                AwsCredential {
                    key_id: credentials.access_key_id().to_owned(),
                    secret_key: credentials.secret_access_key().to_owned(),
                    token: credentials.session_token().map(ToOwned::to_owned),
                }
            }

            #[async_trait]
            impl CredentialProvider for AwsTokenCache {
                type Credential = AwsCredential;

                async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
                    self.views()
                        .$version
                        .get()
                        .await
                        .map_err(|error| Error::Generic { store: "S3", source: error.into() })
                }
            }

            impl sealed::Sealed for AmazonS3Builder {}

            impl S3Builder for AmazonS3Builder {
                fn at(mut self, aws: &AwsTokenCache) -> Self {
                    if let Some(region) = aws.region() {
                        self = self.with_region(region);
                    }
                    if let Some(endpoint) = aws.s3_endpoint_url() {
                        self = self.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http:"));
                    }
                    self
                }

                fn signed(self, aws: &AwsTokenCache) -> Self {
                    self.with_credentials(Arc::new(aws.clone()))
                }

                fn unsigned(self) -> Self {
                    self.with_skip_signature(true)
                }
            }
        }
    };
}

provider!("object_store-0_12", object_store_0_12, v0_12);
provider!("object_store-0_13", object_store_0_13, v0_13);
provider!("object_store-0_14", object_store, v0_14);
