//! [`Views`]: the credentials in the types of other crates. The cache as a `CredentialProvider` of each object_store version.

use aws_credential_types::Credentials;
use token_cache_core::{TokenCache, View};

/// The cached credentials in the types of other crates, converted once per token.
#[derive(Clone)]
pub(crate) struct Views {
    #[cfg(feature = "object_store-0_12")]
    v0_12: View<Credentials, object_store_0_12::aws::AwsCredential>,
    #[cfg(feature = "object_store-0_13")]
    v0_13: View<Credentials, object_store_0_13::aws::AwsCredential>,
    #[cfg(feature = "object_store-0_14")]
    v0_14: View<Credentials, object_store::aws::AwsCredential>,
    #[cfg(feature = "reqsign-3")]
    pub(crate) reqsign: View<Credentials, reqsign_aws_v4::Credential>,
}

impl Views {
    pub(crate) fn new(cache: &TokenCache<Credentials>) -> Self {
        Self {
            #[cfg(feature = "object_store-0_12")]
            v0_12: cache.view(v0_12::convert),
            #[cfg(feature = "object_store-0_13")]
            v0_13: cache.view(v0_13::convert),
            #[cfg(feature = "object_store-0_14")]
            v0_14: cache.view(v0_14::convert),
            #[cfg(feature = "reqsign-3")]
            reqsign: cache.view(crate::reqsign::convert),
        }
    }
}

macro_rules! credential_provider {
    ($feature:literal, $object_store:ident, $version:ident) => {
        #[cfg(feature = $feature)]
        pub(crate) mod $version {
            use std::pin::Pin;
            use std::sync::Arc;

            use aws_credential_types::Credentials;
            use $object_store::aws::AwsCredential;
            use $object_store::{CredentialProvider, Result};

            use crate::cache::AwsTokenCache;

            pub(crate) fn convert(credentials: &Credentials) -> AwsCredential {
                AwsCredential {
                    key_id: credentials.access_key_id().to_owned(),
                    secret_key: credentials.secret_access_key().to_owned(),
                    token: credentials.session_token().map(ToOwned::to_owned),
                }
            }

            /// The source of the error is the [`Error`](token_cache_core::Error) of the cache.
            impl CredentialProvider for AwsTokenCache {
                type Credential = AwsCredential;

                // The future of the view, because another one around it would cost a second allocation.
                fn get_credential<'a, 'b>(
                    &'a self,
                ) -> Pin<Box<dyn Future<Output = Result<Arc<AwsCredential>>> + Send + 'b>>
                where
                    'a: 'b,
                    Self: 'b,
                {
                    self.views().$version.get_credential()
                }
            }
        }
    };
}

credential_provider!("object_store-0_12", object_store_0_12, v0_12);
credential_provider!("object_store-0_13", object_store_0_13, v0_13);
credential_provider!("object_store-0_14", object_store, v0_14);
