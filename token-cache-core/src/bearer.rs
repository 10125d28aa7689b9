//! [`BearerLayer`]: tokens on HTTP and gRPC requests.

mod replay;
mod service;

use std::fmt;

use http::HeaderValue;
use tower_layer::Layer;

use crate::cache::TokenCache;
use crate::view::View;

pub use self::replay::ReplayBody;
pub use self::service::Bearer;

/// A layer of tower that puts `Authorization: Bearer …` on each request, from a cache of tokens.
///
/// It goes over any service that takes an `http::Request<ReplayBody>`: a client of hyper as it is, and others by one line
/// that turns a [`ReplayBody`] into a body of theirs.
///
/// The header is made once a token, and marked as sensitive: `Debug` does not show it, and HTTP/2 does not put it into its
/// table. One that was there before is replaced. All requests get it, to whatever host: clients that follow redirects
/// elsewhere belong under the layer, since they take the header off then.
///
/// # Rejected tokens
///
/// An answer 401, or in gRPC the status `UNAUTHENTICATED` in place of a response, rejects the token that the request was
/// sent with, and no newer one: it is [invalidated](TokenCache::invalidate), and the request is sent once more with the
/// next one. That works where the whole of what was sent can be sent again: up to 256 KiB of a body are kept until the
/// answer begins, and a stream is sent on from where it is. It is not sent again, and the answer stands,
///
/// - if more than that was sent, or trailers were,
/// - if no other token can be had.
///
/// Whatever the second answer is, it stands. The pacing holds: a service that answers 401 to every token costs its callers
/// one fetch per [`min_refresh_interval`](crate::TokenCacheBuilder::min_refresh_interval), which they wait for.
///
/// # Errors
///
/// Of the service, or the cache's own [`Error`](crate::Error), when there is no token. Nothing is sent then.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use token_cache_core::{BearerLayer, ReplayBody, TemporaryToken, TokenCache, source_fn};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::BoxError> {
/// # let source = source_fn(|| async { Ok::<_, std::io::Error>(TemporaryToken::never_expires("token".to_owned())) });
/// # let client = service_fn(|request: http::Request<ReplayBody>| async move {
/// #     assert_eq!(request.headers()["authorization"], "Bearer token");
/// #     Ok::<_, std::io::Error>(http::Response::new(()))
/// # });
/// let cache: TokenCache<String> = TokenCache::builder(source).build();
/// let client = BearerLayer::new(&cache, |token| token).layer(client);
///
/// let request = http::Request::post("https://service/").body(Full::<Bytes>::from("question"))?;
/// let answer = client.oneshot(request).await?;
/// # Ok(())
/// # }
/// ```
pub struct BearerLayer<T> {
    headers: Headers<T>,
}

/// The tokens as headers. `None` for one that has no place in a header.
type Headers<T> = View<T, Option<HeaderValue>>;

impl<T: Send + Sync + 'static> BearerLayer<T> {
    /// A layer over `cache`. `secret` is what follows `Bearer` in the header.
    pub fn new(cache: &TokenCache<T>, secret: impl Fn(&T) -> &str + Send + Sync + 'static) -> Self {
        Self { headers: cache.view(move |token| header(secret(token))) }
    }
}

fn header(secret: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Bearer {secret}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl<S, T> Layer<S> for BearerLayer<T> {
    type Service = Bearer<S, T>;

    fn layer(&self, inner: S) -> Bearer<S, T> {
        Bearer::new(inner, self.headers.clone())
    }
}

impl<T> Clone for BearerLayer<T> {
    fn clone(&self) -> Self {
        Self { headers: self.headers.clone() }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for BearerLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").field("headers", &self.headers).finish()
    }
}
