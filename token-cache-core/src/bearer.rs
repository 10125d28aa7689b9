//! [`BearerLayer`]: bearer tokens for HTTP and gRPC requests.

mod grpc;
mod rejection;
mod replay;
mod service;

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode, header, response};
use tower_layer::Layer;

use crate::cache::TokenCache;
use crate::view::View;

pub use self::grpc::{GrpcStatus, GrpcStatusLayer};
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
/// request, unless the response [names another reason](Self::rejected_statuses). The layer
/// [replaces](TokenCache::replace) this token and sends the request once more with the next one. Meanwhile requests to other
/// services are sent with the stored token. The response to the second request is returned whatever it is.
///
/// To repeat the request, the layer keeps up to 256 KiB of the body until the response arrives. If the response arrives
/// before the end of the body, the second request starts with the kept part and continues with the rest of the stream. Small
/// frames are merged, so the cost depends on the size of the body and not on the number of its frames. The first response is
/// returned without a second request if
///
/// - the client has already read more than 256 KiB of the body, or trailers, or
/// - no different token is available.
///
/// Rejections are accepted at growing intervals: a service that answers every token with 401 soon gets one fetch per
/// [`max_backoff`](crate::TokenCacheBuilder::max_backoff), and its callers get its responses without waiting.
///
/// # Other services
///
/// Each setting is independent of the others. Their order does not matter, except that the last of
/// [`rejected_statuses`](Self::rejected_statuses) and [`rejected_if`](Self::rejected_if) counts.
///
/// | service | settings |
/// |---|---|
/// | `Authorization: token …` | `.scheme("token")` |
/// | `X-Vault-Token: …`, 403 for an invalid token | `.header(name).rejected_statuses([StatusCode::FORBIDDEN])` |
/// | an Iceberg catalog, 401 or 419 | `.rejected_statuses([StatusCode::UNAUTHORIZED, StatusCode::from_u16(419)?])` |
/// | gRPC | [`GrpcStatusLayer`] around this layer |
///
/// # Errors
///
/// A request fails with the error of the inner service, or with the cache's [`Error`](crate::Error) if there is no token. In
/// the latter case nothing is sent. Nor is it if the token cannot be the value of a header, or if
/// [`https_only`](Self::https_only) forbids it. Use [`GrpcStatusLayer`] to turn these errors into a gRPC status.
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
    settings: Arc<Settings<T>>,
}

struct Settings<T> {
    cache: TokenCache<T>,
    secret: Arc<dyn Fn(&T) -> &str + Send + Sync>,
    name: HeaderName,
    /// `None` stands for the default of the header.
    scheme: Option<String>,
    headers: Headers<T>,
    rejects: Arc<rejection::Predicate>,
    https_only: bool,
}

/// The header of each token. `None` if the token is not a valid header value.
type Headers<T> = View<T, Option<HeaderValue>>;

impl<T: Send + Sync + 'static> BearerLayer<T> {
    /// Creates a layer that takes its tokens from `cache`. `secret` returns the text that follows `Bearer` in the header.
    ///
    /// ```
    /// use token_cache_core::{BearerLayer, TokenCache};
    ///
    /// # fn example(cache: TokenCache<String>) {
    /// let layer = BearerLayer::new(&cache, |token| token);
    /// # let _ = layer;
    /// # }
    /// ```
    pub fn new(cache: &TokenCache<T>, secret: impl Fn(&T) -> &str + Send + Sync + 'static) -> Self {
        let secret: Arc<dyn Fn(&T) -> &str + Send + Sync> = Arc::new(secret);
        let settings = Settings {
            cache: cache.clone(),
            headers: headers(cache, Arc::clone(&secret), BEARER),
            secret,
            name: header::AUTHORIZATION,
            scheme: None,
            rejects: Arc::new(rejection::by_status(vec![StatusCode::UNAUTHORIZED])),
            https_only: false,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Sends the token in the header `name`. Defaults to `Authorization`.
    ///
    /// The value is the secret alone, unless [`scheme`](Self::scheme) is set or `name` is `Authorization` or
    /// `Proxy-Authorization`.
    ///
    /// When a redirect leads to another host, clients usually remove `Authorization`, but not other headers. Disable redirects
    /// in the client, or that host gets the token.
    ///
    /// ```
    /// # use http::HeaderName;
    /// # use token_cache_core::{BearerLayer, TokenCache};
    /// # fn vault(cache: &TokenCache<String>) -> BearerLayer<String> {
    /// // X-Vault-Token: hvs.CAES…
    /// BearerLayer::new(cache, |token| token).header(HeaderName::from_static("x-vault-token"))
    /// # }
    /// ```
    #[must_use]
    pub fn header(self, name: HeaderName) -> Self {
        self.with(|settings| {
            settings.name = name;
            settings.build_headers();
        })
    }

    /// Sends the secret after `scheme` and a space. Defaults to `Bearer` in `Authorization` and `Proxy-Authorization`, and to
    /// no scheme in any other header. The empty string stands for no scheme.
    ///
    /// ```
    /// # use token_cache_core::{BearerLayer, TokenCache};
    /// # fn github(cache: &TokenCache<String>) -> BearerLayer<String> {
    /// // Authorization: token ghs_16C7e…
    /// BearerLayer::new(cache, |token| token).scheme("token")
    /// # }
    /// ```
    #[must_use]
    pub fn scheme(self, scheme: impl Into<String>) -> Self {
        self.with(|settings| {
            settings.scheme = Some(scheme.into());
            settings.build_headers();
        })
    }

    /// Sets the response statuses that reject the token. Defaults to 401 alone.
    ///
    /// The gRPC status `UNAUTHENTICATED` still rejects the token. A response never does if its `WWW-Authenticate` header names a
    /// reason that the next token would not remove: the error `insufficient_scope` or `invalid_request`
    /// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)), or `insufficient_user_authentication`
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470#section-3)). To replace these rules, use
    /// [`rejected_if`](Self::rejected_if).
    ///
    /// Name only statuses that a service uses for invalid tokens. If 403 also means that access is denied, each such response
    /// costs a fetch, as far as the pacing allows, and a second request.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use token_cache_core::{BearerLayer, TokenCache};
    /// # fn vault(cache: &TokenCache<String>) -> BearerLayer<String> {
    /// BearerLayer::new(cache, |token| token).rejected_statuses([StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN])
    /// # }
    /// ```
    #[must_use]
    pub fn rejected_statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        let rejects = rejection::by_status(statuses.into_iter().collect());
        self.with(|settings| settings.rejects = Arc::new(rejects))
    }

    /// Replaces the whole rule for what rejects the token: a response does if `predicate` returns true for its head.
    /// [`rejected_statuses`](Self::rejected_statuses) suffices if the status tells.
    ///
    /// ```
    /// # use token_cache_core::{BearerLayer, TokenCache};
    /// # fn service(cache: &TokenCache<String>) -> BearerLayer<String> {
    /// BearerLayer::new(cache, |token| token)
    ///     .rejected_if(|response| response.headers.get("x-error-code").is_some_and(|code| code == "token_expired"))
    /// # }
    /// ```
    #[must_use]
    pub fn rejected_if(self, predicate: impl Fn(&response::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.rejects = Arc::new(predicate))
    }

    /// Fails each request whose URI does not start with `https`, before a token is fetched or sent.
    ///
    /// This is not the default, because the layer does not see the connection. Plain HTTP is usual, and safe, on loopback and
    /// behind a proxy or a service mesh that encrypts it. And a URI without a scheme, which also fails, is usual where the
    /// inner service adds the scheme: give a tonic client its origin (`with_origin`).
    ///
    /// It checks the request and not the redirects that the client follows.
    ///
    /// ```
    /// # use token_cache_core::{BearerLayer, TokenCache};
    /// # fn service(cache: &TokenCache<String>) -> BearerLayer<String> {
    /// BearerLayer::new(cache, |token| token).https_only()
    /// # }
    /// ```
    #[must_use]
    pub fn https_only(self) -> Self {
        self.with(|settings| settings.https_only = true)
    }

    fn with(self, change: impl FnOnce(&mut Settings<T>)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.settings);
        change(&mut settings);
        Self { settings: Arc::new(settings) }
    }
}

impl<T: Send + Sync + 'static> Settings<T> {
    fn build_headers(&mut self) {
        let default = match self.name {
            header::AUTHORIZATION | header::PROXY_AUTHORIZATION => BEARER,
            _ => "",
        };
        let scheme = self.scheme.as_deref().unwrap_or(default);
        self.headers = headers(&self.cache, Arc::clone(&self.secret), scheme);
    }
}

fn headers<T: Send + Sync + 'static>(
    cache: &TokenCache<T>,
    secret: Arc<dyn Fn(&T) -> &str + Send + Sync>,
    scheme: &str,
) -> Headers<T> {
    let prefix = if scheme.is_empty() { String::new() } else { format!("{scheme} ") };
    cache.view(move |token| {
        let mut header = HeaderValue::try_from(format!("{prefix}{}", secret(token))).ok()?;
        header.set_sensitive(true);
        Some(header)
    })
}

impl<S, T> Layer<S> for BearerLayer<T> {
    type Service = Bearer<S, T>;

    fn layer(&self, inner: S) -> Bearer<S, T> {
        Bearer::new(inner, Arc::clone(&self.settings))
    }
}

impl<T> Clone for BearerLayer<T> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<T> Clone for Settings<T> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            secret: Arc::clone(&self.secret),
            name: self.name.clone(),
            scheme: self.scheme.clone(),
            headers: self.headers.clone(),
            rejects: Arc::clone(&self.rejects),
            https_only: self.https_only,
        }
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for BearerLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").field("settings", &self.settings).finish()
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Settings<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, name, https_only, .. } = self;
        f.debug_struct("Settings")
            .field("cache", cache)
            .field("header", name)
            .field("https_only", https_only)
            .finish_non_exhaustive()
    }
}

const BEARER: &str = "Bearer";
