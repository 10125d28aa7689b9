//! The identity cache of the AWS SDK's clients.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::{IdentityCache, LazyCacheBuilder};
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;

use super::{Peer, PeerCache};
use crate::source::ScriptedSource;

pub(crate) struct Smithy;

#[derive(Debug)]
struct Source(Arc<ScriptedSource>);

/// The cache, and the arguments that a client passes to it.
pub(crate) struct LazyIdentityCache {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

impl Peer for Smithy {
    fn name(&self) -> &'static str {
        "AWS SDK, lazy"
    }

    fn package(&self) -> Option<&'static str> {
        Some("aws-smithy-runtime")
    }

    fn note(&self) -> &'static str {
        "`IdentityCache::lazy()` with its defaults over a `ResolveIdentity`, called with a client's components; its \
         `buffer_time` is 10 s"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        Ok(Arc::new(LazyIdentityCache::new(IdentityCache::lazy(), source)?))
    }
}

impl LazyIdentityCache {
    pub(crate) fn new(cache: LazyCacheBuilder, source: Arc<ScriptedSource>) -> anyhow::Result<Self> {
        let cache = cache.build();
        let resolver = SharedIdentityResolver::new(Source(source));
        // The cache uses the time source and the sleep. `build` requires the other components.
        let components = RuntimeComponentsBuilder::new("peers")
            .with_time_source(Some(SystemTimeSource::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_identity_cache(Some(cache.clone()))
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(Vec::new())))
            .with_auth_scheme(NoAuthScheme::new())
            .with_identity_resolver(NO_AUTH_SCHEME_ID, resolver.clone())
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::http_localhost(1)))
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .build()?;
        Ok(Self { cache, resolver, components, config: ConfigBag::base() })
    }

    pub(crate) async fn identity(&self) -> anyhow::Result<Identity> {
        self.cache
            .resolve_cached_identity(self.resolver.clone(), &self.components, &self.config)
            .await
            .map_err(|error| anyhow!(error))
    }
}

impl ResolveIdentity for Source {
    fn resolve_identity<'a>(&'a self, _: &'a RuntimeComponents, _: &'a ConfigBag) -> IdentityFuture<'a> {
        IdentityFuture::new(async {
            let issued = self.0.fetch().await?;
            Ok(Identity::new(issued.number, Some(issued.expires_at)))
        })
    }
}

#[async_trait]
impl PeerCache for LazyIdentityCache {
    async fn get(&self) -> anyhow::Result<usize> {
        self.identity().await?.data().copied().context("the identity is not of this source")
    }
}
