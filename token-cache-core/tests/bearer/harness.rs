//! [`Harness`]: a layer over a cache whose source, clock and server the test controls.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use token_cache_core::test_util::{SourceHandle, VirtualClock, mock_source};
use token_cache_core::{BearerLayer, BoxError, TemporaryToken, TokenCache};
use tower::{Layer, ServiceExt};

use crate::server::Server;

/// More than the pacing between two fetches.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type ResponseFuture = BoxFuture<'static, Result<Response<()>, BoxError>>;

pub(crate) struct Harness {
    pub(crate) cache: TokenCache<String>,
    pub(crate) source: Source,
    pub(crate) clock: VirtualClock,
    pub(crate) server: Server,
    pub(crate) layer: BearerLayer<String>,
}

/// The test's end of the source.
pub(crate) struct Source {
    pub(crate) handle: SourceHandle<String>,
    clock: VirtualClock,
}

impl Harness {
    /// A harness with an empty cache.
    pub(crate) fn new() -> Self {
        Self::with_secret(|token| token)
    }

    /// An empty cache under a layer that takes the secret from each token with `secret`.
    pub(crate) fn with_secret(secret: impl Fn(&String) -> &str + Send + Sync + 'static) -> Self {
        let (clock, (mock, handle)) = (VirtualClock::new(), mock_source());
        let cache = TokenCache::builder(mock).jitter(0.0).clock(clock.clone()).build();
        let layer = BearerLayer::new(&cache, secret);
        let source = Source { handle, clock: clock.clone() };
        Self { cache, source, clock, server: Server::default(), layer }
    }

    /// A harness whose cache holds `token`.
    pub(crate) async fn with_token(token: &str) -> Self {
        let mut harness = Self::new();
        join(harness.cache.get(), harness.source.succeed(token)).await.0.unwrap();
        harness
    }

    pub(crate) fn configure(&mut self, change: impl FnOnce(BearerLayer<String>) -> BearerLayer<String>) {
        self.layer = change(self.layer.clone());
    }

    pub(crate) fn send<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.layer.layer(self.server.clone()).oneshot(request).boxed()
    }
}

impl Source {
    /// Advances the clock past the pacing and answers the next fetch with a token that expires in one hour.
    pub(crate) async fn succeed(&mut self, token: &str) {
        self.clock.advance(SECOND);
        self.handle.next_fetch().await.succeed(hourly(token));
    }

    /// Advances the clock past the pacing and fails the next fetch.
    pub(crate) async fn fail(&mut self, error: &'static str) {
        self.clock.advance(SECOND);
        self.handle.next_fetch().await.fail(error);
    }
}

/// A token that expires in one hour.
pub(crate) fn hourly(token: &str) -> TemporaryToken<String> {
    TemporaryToken::expires_in(token.to_owned(), Duration::from_secs(3600))
}

pub(crate) fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("https://service/").body(Full::from(body)).unwrap()
}
