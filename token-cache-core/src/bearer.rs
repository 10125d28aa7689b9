//! [`BearerLayer`]: bearer tokens for HTTP and gRPC requests.

mod replay;
mod service;

use std::fmt;

use http::HeaderValue;
use tower_layer::Layer;

use crate::cache::TokenCache;
use crate::view::View;

pub use self::replay::ReplayBody;
pub use self::service::Bearer;

/// A tower [`Layer`] that adds `Authorization: Bearer …` to each request, with a token from a cache
/// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
///
/// It wraps any service that takes an `http::Request<ReplayBody>`. A hyper client is such a service; for other clients, map
/// [`ReplayBody`] to their body type.
///
/// The header is built once per token and marked as sensitive, so `Debug` does not print it and HTTP/2 does not add it to the
/// header compression table. It replaces an existing `Authorization` header. The layer adds it for every host. Use a client
/// that follows redirects as the inner service: such clients remove the header when a redirect leads to another host.
///
/// # Rejected tokens
///
/// The response status 401, or a gRPC response that consists of the status `UNAUTHENTICATED` alone
/// ([trailers-only](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses)), rejects the token of that
/// request. The layer [invalidates](TokenCache::invalidate) this token, which leaves a newer token in place, and sends the
/// request once more with the next token. The response to the second request is returned whatever it is.
///
/// To repeat the request, the layer keeps up to 256 KiB of the body until the response arrives. If the response arrives
/// before the end of the body, the second request starts with the kept part and continues with the rest of the stream. The
/// first response is returned without a second request if
///
/// - the client has already read more than 256 KiB of the body, or trailers, or
/// - no different token is available.
///
/// Fetches are paced as for any rejected token: a service that answers every token with 401 causes at most one fetch per
/// [`min_refresh_interval`](crate::TokenCacheBuilder::min_refresh_interval), and its callers wait for that fetch.
///
/// # Errors
///
/// A request fails with the error of the inner service, or with the cache's [`Error`](crate::Error) if there is no token. In
/// the latter case nothing is sent.
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
/// let request = http::Request::post("https://service/").body(Full::<Bytes>::from("content"))?;
/// let response = client.oneshot(request).await?;
/// # Ok(())
/// # }
/// ```
pub struct BearerLayer<T> {
    headers: Headers<T>,
}

/// The header of each token. `None` if the token is not a valid header value.
type Headers<T> = View<T, Option<HeaderValue>>;

impl<T: Send + Sync + 'static> BearerLayer<T> {
    /// Creates a layer that takes its tokens from `cache`. `secret` returns the text that follows `Bearer` in the header.
    pub fn new(cache: &TokenCache<T>, secret: impl Fn(&T) -> &str + Send + Sync + 'static) -> Self {
        Self { headers: cache.view(move |token| bearer_header(secret(token))) }
    }
}

fn bearer_header(secret: &str) -> Option<HeaderValue> {
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
