//! Lance: `AwsCredentialAdapter` of `rust/lance-io/src/object_store/providers/aws.rs`, the vended credentials of
//! `dynamic_credentials.rs` beside it for AWS, and `OSObjectStoreToAwsCredAdaptor` of `rust/lance-table/src/io/commit.rs`, on
//! object_store 0.14.
//!
//! The third needs no code: what both functions give is a provider of object_store and of the SDK at once, so it goes to
//! `with_credentials` of the store's builder, and to `credentials_provider` of DynamoDB's.
//!
//! The old adapter is one of the better ones: it refreshes a minute ahead, and keeps what is valid when that fails. But:
//!
//! - One request waits for the refresh, and with the issuer down each request near the expiry tries again.
//! - With nothing valid left, a hundred requests make a hundred calls, one after the other, and wait as long.
//! - Three strings are copied for each request.
//!
//! Vended credentials have another cache there. From a minute before their expiry all requests wait for the server, and fail
//! if it does, although what was vended last is valid. An expiry that cannot be read counted as none, so they were never
//! refreshed. The way back to the SDK made up an expiry, ten minutes from each call.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use token_cache_aws::{AwsTokenCache, SdkSource, builder};
use token_cache_core::{BoxError, TemporaryToken, TokenCacheBuilder, source_fn};

use crate::theirs::{StorageOptions, StorageOptionsProvider};

/// In the place of `AwsCredentialAdapter::new`: any provider of the SDK, refreshed so long ahead.
pub fn aws_credential_adapter(provider: impl ProvideCredentials + 'static, refresh_offset: Duration) -> AwsTokenCache {
    cache(builder(SdkSource::new(provider)).expiry_buffer(refresh_offset))
}

/// In the place of `DynamicStorageOptionsCredentialProvider`: what the namespace vends, beginning with what came with the
/// table, if that holds credentials.
#[must_use]
pub fn vended_credentials(provider: Arc<dyn StorageOptionsProvider>, initial: &StorageOptions) -> AwsTokenCache {
    let vended = builder(source_fn(move || {
        let provider = Arc::clone(&provider);
        async move {
            let options = provider.fetch_storage_options().await?;
            credentials(&options.ok_or("the namespace vends no storage options")?)
        }
    }));
    cache(match credentials(initial) {
        Ok(credentials) => vended.initial(credentials),
        Err(_) => vended,
    })
}

fn credentials(options: &StorageOptions) -> Result<TemporaryToken<Credentials>, BoxError> {
    let get = |names: &[&str]| names.iter().find_map(|name| options.get(*name)).cloned();
    let id = get(&["aws_access_key_id", "access_key_id"]).ok_or("the storage options hold no access key id")?;
    let secret =
        get(&["aws_secret_access_key", "secret_access_key"]).ok_or("the storage options hold no secret key")?;
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
