//! The cache as `ProvideCredential` of reqsign, with which OpenDAL and Iceberg sign.

use std::time::UNIX_EPOCH;

use aws_credential_types::Credentials;
use reqsign_aws_v4::Credential;
use reqsign_core::time::Timestamp;
use reqsign_core::{Context, ProvideCredential, Result};

use crate::cache::AwsTokenCache;

/// Returns a copy of the credentials with their expiry, as reqsign requires. The source of the error is the
/// [`Error`](token_cache_core::Error) of the cache.
impl ProvideCredential for AwsTokenCache {
    type Credential = Credential;

    async fn provide_credential(&self, context: &Context) -> Result<Option<Credential>> {
        self.views().reqsign.provide_credential(context).await
    }
}

pub(crate) fn convert(credentials: &Credentials) -> Credential {
    let expiry = credentials.expiry().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
    let millis = expiry.and_then(|since| i64::try_from(since.as_millis()).ok());
    Credential {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: credentials.secret_access_key().to_owned(),
        session_token: credentials.session_token().map(ToOwned::to_owned),
        expires_in: millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
    }
}
