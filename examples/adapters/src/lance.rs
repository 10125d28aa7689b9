//! Lance, on object_store 0.14: `AwsCredentialAdapter` of `rust/lance-io/src/object_store/providers/aws.rs`, the AWS part of the
//! vended credentials in `dynamic_credentials.rs`, and `OSObjectStoreToAwsCredAdaptor` of `rust/lance-table/src/io/commit.rs`.
//!
//! The last one needs no code. Both functions below return a provider for object_store and for the SDK: pass it to
//! `with_credentials` of the store's builder and to `credentials_provider` of DynamoDB's configuration.
//!
//! The original `AwsCredentialAdapter` refreshes 1 minute before the expiry, and keeps valid credentials if that fails. Its
//! problems:
//!
//! - One request waits for the refresh. While the issuer is down, each request near the expiry tries again.
//! - Without valid credentials 100 requests make 100 calls, one after the other, and wait for all of them.
//! - It copies three strings per request.
//!
//! Vended credentials have a separate cache. From 1 minute before the expiry all requests wait for the server, and fail if it
//! fails, although the last credentials are still valid. An expiry that cannot be parsed counts as none, so the credentials are
//! never refreshed. The conversion to the SDK's type invents an expiry: 10 minutes after each call.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache};
use token_cache_core::{BoxError, TemporaryToken, TokenCacheBuilder, source_fn};

use crate::upstream::{StorageOptions, StorageOptionsProvider};

/// Replaces `AwsCredentialAdapter::new`. Credentials are refreshed `refresh_offset` before they expire.
pub fn aws_credential_adapter(provider: impl ProvideCredentials + 'static, refresh_offset: Duration) -> AwsTokenCache {
    cache(credential_cache(SdkSource::new(provider)).expiry_buffer(refresh_offset))
}

/// Replaces `DynamicStorageOptionsCredentialProvider`: credentials that a namespace server vends. The cache starts with the
/// credentials in `initial`, the options that came with the table, if it contains any.
#[must_use]
pub fn vended_credentials(provider: Arc<dyn StorageOptionsProvider>, initial: &StorageOptions) -> AwsTokenCache {
    let vended = credential_cache(source_fn(move || {
        let provider = Arc::clone(&provider);
        async move {
            let options = provider.fetch_storage_options().await?;
            credentials(&options.ok_or("the namespace returned no storage options")?)
        }
    }));
    cache(match credentials(initial) {
        Ok(credentials) => vended.initial(credentials),
        Err(_) => vended,
    })
}

fn credentials(options: &StorageOptions) -> Result<TemporaryToken<Credentials>, BoxError> {
    let get = |names: &[&str]| names.iter().find_map(|name| options.get(*name)).cloned();
    let id = get(&["aws_access_key_id", "access_key_id"]).ok_or("the storage options contain no access key id")?;
    let secret = get(&["aws_secret_access_key", "secret_access_key"])
        .ok_or("the storage options contain no secret access key")?;
    let token = get(&["aws_session_token", "aws_token", "aws_security_token", "session_token", "token"]);
    let millis = get(&["expires_at_millis"]).map(|millis| millis.parse()).transpose()?;
    let expiry = millis.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
    let credentials = Credentials::new(id, secret, token, expiry, "LanceNamespace");
    Ok(match expiry {
        Some(expiry) => TemporaryToken::new(credentials, expiry),
        None => TemporaryToken::never_expires(credentials),
    })
}

fn cache(credentials: TokenCacheBuilder<Credentials>) -> AwsTokenCache {
    AwsTokenCache::new(credentials.build(), &SdkConfig::builder().build())
}
