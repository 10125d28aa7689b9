//! [`Read`]: one read of a cache. One type for each, so that none pays for how it is measured.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::expiring_cache::ExpiringCache;
use aws_types::SdkConfig;
use google_cloud_auth::credentials::{AccessTokenCredentials, user_account};
use moka::future::Cache;
use object_store::StaticCredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use rustix::time::{ClockId, clock_gettime};
use token_cache_aws::{AwsTokenCache, SdkSource, builder};
use token_cache_core::{TokenCache, View};

use crate::exchange::Exchange;
use crate::peer::object_store::provider;
use crate::peer::smithy::Lazy;
use crate::script::{AN_HOUR, Down, Mode, Script};
use crate::seed::Seed;

/// A cache that holds a token.
pub(crate) trait Read: Send + Sync + 'static {
    fn read(&self) -> impl Future<Output = ()> + Send;
}

/// Whatever is a provider of object_store.
pub(crate) struct Provider(AwsCredentialProvider);

pub(crate) struct Get(TokenCache<Credentials>);
pub(crate) struct Peek(TokenCache<Credentials>);
pub(crate) struct Seen(View<Credentials, AwsCredential>);

/// The least that could be done without a lock: load the `Arc`, read a clock.
pub(crate) struct Bare(ArcSwap<Credentials>);

pub(crate) struct Expiring(ExpiringCache<Arc<AwsCredential>, Down>);
pub(crate) struct Identities(Lazy);
pub(crate) struct Entry(Cache<(), Arc<AwsCredential>>);

pub(crate) struct Google {
    credentials: AccessTokenCredentials,
    /// Served for as long as this is.
    _exchange: Exchange,
}

impl Read for Provider {
    async fn read(&self) {
        let _ = black_box(self.0.get_credential().await);
    }
}

impl Read for Get {
    async fn read(&self) {
        let _ = black_box(self.0.get().await);
    }
}

impl Read for Peek {
    async fn read(&self) {
        black_box(self.0.peek());
    }
}

impl Read for Seen {
    async fn read(&self) {
        let _ = black_box(self.0.get().await);
    }
}

impl Read for Bare {
    async fn read(&self) {
        black_box(clock_gettime(ClockId::MonotonicCoarse));
        black_box(self.0.load_full());
    }
}

impl Read for Expiring {
    async fn read(&self) {
        black_box(self.0.yield_or_clear_if_expired(SystemTime::now()).await);
    }
}

impl Read for Identities {
    async fn read(&self) {
        let _ = black_box(self.0.identity().await);
    }
}

impl Read for Entry {
    async fn read(&self) {
        let _ = black_box(self.0.try_get_with((), async { Err::<_, Down>(Down) }).await);
    }
}

impl Read for Google {
    async fn read(&self) {
        let _ = black_box(self.credentials.access_token().await);
    }
}

impl Provider {
    /// This cache, with a token that is fresh.
    pub(crate) async fn fresh() -> anyhow::Result<Self> {
        let aws = AwsTokenCache::from_provider(Sdk(Arc::new(hour())));
        aws.get().await?;
        Ok(Self(Arc::new(aws)))
    }

    /// This cache, with a token that is to be refreshed, by a fetch that goes on for as long as this is measured.
    pub(crate) async fn near_expiry() -> anyhow::Result<Self> {
        let script = Arc::new(hour());
        let cache = builder(SdkSource::new(Sdk(Arc::clone(&script))))
            .expiry_buffer_by(|lifetime| lifetime)
            .min_refresh_interval(Duration::ZERO)
            .fetch_timeout(AN_HOUR)
            .build();
        cache.get().await?;
        script.becomes(AN_HOUR, Mode::Fails);
        cache.get().await?;
        anyhow::ensure!(cache.status().refreshing, "no refresh is in flight: {:?}", cache.status());
        Ok(Self(Arc::new(AwsTokenCache::new(cache, &SdkConfig::builder().build()))))
    }

    pub(crate) fn fixed() -> Self {
        Self(Arc::new(StaticCredentialProvider::new(credential(0))))
    }

    pub(crate) async fn object_store() -> anyhow::Result<Self> {
        let provider = provider(Arc::new(hour()))?;
        provider.get_credential().await?;
        Ok(Self(provider))
    }

    pub(crate) async fn seed() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Seed::new(Arc::new(hour())).await?)))
    }
}

impl Get {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(native().await?))
    }
}

impl Peek {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(native().await?))
    }
}

impl Seen {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let view = native().await?.view(|_| credential(0));
        view.get().await?;
        Ok(Self(view))
    }
}

impl Bare {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(Credentials::new("0", "secret", None, None, "peers")))
    }
}

impl Expiring {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let cache = ExpiringCache::new(Duration::from_secs(10));
        let load = || async { Ok((Arc::new(credential(0)), SystemTime::now() + AN_HOUR)) };
        cache.get_or_load(load).await?;
        Ok(Self(cache))
    }
}

impl Identities {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let lazy = Lazy::new(IdentityCache::lazy(), Arc::new(hour()))?;
        lazy.identity().await?;
        Ok(Self(lazy))
    }
}

impl Entry {
    pub(crate) async fn new() -> Self {
        let cache = Cache::builder().max_capacity(1).time_to_live(AN_HOUR).build();
        cache.insert((), Arc::new(credential(0))).await;
        Self(cache)
    }
}

impl Google {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let exchange = Exchange::start(Arc::new(hour()))?;
        let user = serde_json::json!({
            "type": "authorized_user", "client_id": "peers", "client_secret": "peers", "refresh_token": "peers",
        });
        let builder = user_account::Builder::new(user).with_token_uri(exchange.url());
        let credentials = builder.build_access_token_credentials()?;
        credentials.access_token().await?;
        Ok(Self { credentials, _exchange: exchange })
    }
}

/// A provider of the SDK.
#[derive(Debug)]
struct Sdk(Arc<Script>);

impl ProvideCredentials for Sdk {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async {
            let issued = self.0.fetch().await.map_err(CredentialsError::provider_error)?;
            let key = issued.number.to_string();
            Ok(Credentials::new(key, "secret", Some("session".to_owned()), Some(issued.expires_at), "peers"))
        })
    }
}

async fn native() -> anyhow::Result<TokenCache<Credentials>> {
    let cache = builder(SdkSource::new(Sdk(Arc::new(hour())))).build();
    cache.get().await?;
    Ok(cache)
}

fn hour() -> Script {
    Script::new(Duration::ZERO, Mode::Lives(AN_HOUR))
}

pub(crate) fn credential(number: usize) -> AwsCredential {
    AwsCredential { key_id: number.to_string(), secret_key: "secret".to_owned(), token: Some("session".to_owned()) }
}
