//! [`Read`]: a read of a cache that stores a token. Each cache has its own type, so that reads are dispatched statically.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::expiring_cache::ExpiringCache;
use aws_types::SdkConfig;
use google_cloud_auth::credentials::{AccessTokenCredentials, user_account};
use moka::future::Cache;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use object_store::{CredentialProvider, StaticCredentialProvider};
use rustix::time::{ClockId, clock_gettime};
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache};
use token_cache_core::{FetchState, TokenCache, View};

use crate::peer::hand_written::MutexProvider;
use crate::peer::object_store::provider;
use crate::peer::smithy::LazyIdentityCache;
use crate::source::{Behavior, HOUR, ScriptedSource, SourceError};
use crate::token_endpoint::TokenEndpoint;

pub(crate) trait Read: Send + Sync + 'static {
    fn read(&self) -> impl Future<Output = ()> + Send;
}

/// A cache that is read through object_store's trait.
pub(crate) struct Provider(AwsCredentialProvider);

pub(crate) struct NativeGet(TokenCache<Credentials>);
pub(crate) struct NativePeek(TokenCache<Credentials>);
pub(crate) struct NativeView(View<Credentials, AwsCredential>);

/// The minimum of a lock-free cache that checks an expiry: one `load_full` and one read of the coarse clock.
pub(crate) struct ArcSwapAndClock(ArcSwap<Credentials>);

pub(crate) struct SdkExpiringCache(ExpiringCache<Arc<AwsCredential>, SourceError>);
pub(crate) struct SdkIdentityCache(LazyIdentityCache);
pub(crate) struct MokaEntry(Cache<(), Arc<AwsCredential>>);

pub(crate) struct GoogleCredentials {
    credentials: AccessTokenCredentials,
    /// Serves the credentials until it is dropped.
    _endpoint: TokenEndpoint,
}

/// One step of a hit, by itself.
pub(crate) struct Step(pub(crate) fn());
pub(crate) struct ArcClone(Arc<u64>);
pub(crate) struct ArcSwapLoad(ArcSwap<u64>);

impl Read for Provider {
    async fn read(&self) {
        let _ = black_box(self.0.get_credential().await);
    }
}

impl Read for NativeGet {
    async fn read(&self) {
        let _ = black_box(self.0.get().await);
    }
}

impl Read for NativePeek {
    async fn read(&self) {
        black_box(self.0.peek());
    }
}

impl Read for NativeView {
    async fn read(&self) {
        let _ = black_box(self.0.get().await);
    }
}

impl Read for ArcSwapAndClock {
    async fn read(&self) {
        coarse_clock();
        black_box(self.0.load_full());
    }
}

impl Read for SdkExpiringCache {
    async fn read(&self) {
        black_box(self.0.yield_or_clear_if_expired(SystemTime::now()).await);
    }
}

impl Read for SdkIdentityCache {
    async fn read(&self) {
        let _ = black_box(self.0.identity().await);
    }
}

impl Read for MokaEntry {
    async fn read(&self) {
        let _ = black_box(self.0.try_get_with((), async { Err::<_, SourceError>(SourceError) }).await);
    }
}

impl Read for GoogleCredentials {
    async fn read(&self) {
        let _ = black_box(self.credentials.access_token().await);
    }
}

impl Read for Step {
    async fn read(&self) {
        self.0();
    }
}

impl Read for ArcClone {
    async fn read(&self) {
        black_box(Arc::clone(&self.0));
    }
}

impl Read for ArcSwapLoad {
    async fn read(&self) {
        black_box(**self.0.load());
    }
}

impl Provider {
    /// This cache, with a fresh token.
    pub(crate) async fn fresh() -> anyhow::Result<Self> {
        let aws = AwsTokenCache::from_provider(Source(hour_tokens()));
        aws.get().await?;
        Ok(Self(Arc::new(aws)))
    }

    /// This cache, with a token near its expiry and a refresh that stays in flight.
    pub(crate) async fn near_expiry() -> anyhow::Result<Self> {
        let source = hour_tokens();
        let cache = credential_cache(SdkSource::new(Source(Arc::clone(&source))))
            .expiry_buffer_by(|lifetime| lifetime)
            .min_refresh_interval(Duration::ZERO)
            .fetch_timeout(HOUR)
            .build();
        cache.get().await?;
        source.set_behavior(HOUR, Behavior::Fail);
        cache.get().await?;
        anyhow::ensure!(cache.status().fetch != FetchState::Idle, "no refresh is in flight: {:?}", cache.status());
        Ok(Self(Arc::new(AwsTokenCache::new(cache, &SdkConfig::builder().build()))))
    }

    pub(crate) fn without_cache() -> Self {
        Self(Arc::new(StaticCredentialProvider::new(credential())))
    }

    pub(crate) async fn object_store() -> anyhow::Result<Self> {
        let provider = provider(hour_tokens())?;
        provider.get_credential().await?;
        Ok(Self(provider))
    }

    pub(crate) async fn hand_written() -> anyhow::Result<Self> {
        let provider = MutexProvider::new(hour_tokens());
        provider.get_credential().await?;
        Ok(Self(Arc::new(provider)))
    }
}

impl NativeGet {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(native_cache().await?))
    }
}

impl NativePeek {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(native_cache().await?))
    }
}

impl NativeView {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let view = native_cache().await?.view(|_| credential());
        view.get().await?;
        Ok(Self(view))
    }
}

impl ArcSwapAndClock {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(Credentials::new("key", "secret", None, None, "peers")))
    }
}

impl SdkExpiringCache {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let cache = ExpiringCache::new(Duration::from_secs(10));
        cache.get_or_load(|| async { Ok((Arc::new(credential()), SystemTime::now() + HOUR)) }).await?;
        Ok(Self(cache))
    }
}

impl SdkIdentityCache {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let cache = LazyIdentityCache::new(IdentityCache::lazy(), hour_tokens())?;
        cache.identity().await?;
        Ok(Self(cache))
    }
}

impl MokaEntry {
    pub(crate) async fn new() -> Self {
        let cache = Cache::builder().max_capacity(1).time_to_live(HOUR).build();
        cache.insert((), Arc::new(credential())).await;
        Self(cache)
    }
}

impl GoogleCredentials {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let endpoint = TokenEndpoint::start(hour_tokens())?;
        let user = serde_json::json!({
            "type": "authorized_user", "client_id": "peers", "client_secret": "peers", "refresh_token": "peers",
        });
        let builder = user_account::Builder::new(user).with_token_uri(endpoint.url());
        let credentials = builder.build_access_token_credentials()?;
        credentials.access_token().await?;
        Ok(Self { credentials, _endpoint: endpoint })
    }
}

impl ArcClone {
    pub(crate) fn new() -> Self {
        Self(Arc::new(0))
    }
}

impl ArcSwapLoad {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(0))
    }
}

pub(crate) fn coarse_clock() {
    black_box(clock_gettime(ClockId::MonotonicCoarse));
}

pub(crate) fn precise_clocks() {
    black_box((Instant::now(), SystemTime::now()));
}

pub(crate) fn allocate() {
    drop(black_box(Box::new(0_u64)));
}

/// The source as a credentials provider of the AWS SDK.
#[derive(Debug)]
struct Source(Arc<ScriptedSource>);

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let issued = self.0.fetch().await.map_err(CredentialsError::provider_error)?;
            let key = issued.number.to_string();
            Ok(Credentials::new(key, "secret", Some("session".to_owned()), Some(issued.expires_at), "peers"))
        })
    }
}

async fn native_cache() -> anyhow::Result<TokenCache<Credentials>> {
    let cache = credential_cache(SdkSource::new(Source(hour_tokens()))).build();
    cache.get().await?;
    Ok(cache)
}

/// A source that issues tokens with a lifetime of one hour, without a delay.
fn hour_tokens() -> Arc<ScriptedSource> {
    Arc::new(ScriptedSource::new(Duration::ZERO, Behavior::Issue(HOUR)))
}

fn credential() -> AwsCredential {
    AwsCredential { key_id: "key".to_owned(), secret_key: "secret".to_owned(), token: Some("session".to_owned()) }
}
