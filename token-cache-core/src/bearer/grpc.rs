//! [`GrpcStatusLayer`]: the gRPC status of a call that has no token.

use std::error::Error as StdError;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use tower_layer::Layer;
use tower_service::Service;

use super::service::NotSent;
use crate::error::{Error, ErrorKind};
use crate::source::BoxError;

/// A tower [`Layer`] for gRPC clients, around a [`BearerLayer`](crate::BearerLayer): a call that fails for lack of a token
/// ends with the gRPC status that tells the caller whether a retry can help.
///
/// Without it, such a call fails with the cache's [`Error`]. tonic does not know this type and reports `UNKNOWN`, or the status
/// of the issuer if the token source is itself a gRPC client.
///
/// | error | status |
/// |---|---|
/// | [`Permanent`](ErrorKind::Permanent), [`Rejected`](ErrorKind::Rejected) | `UNAUTHENTICATED` |
/// | any other kind | `UNAVAILABLE`: the cache retries, and so can the caller |
/// | the token contains an invalid character, or the URI is not allowed by [`https_only`](crate::BearerLayer::https_only) | `UNAUTHENTICATED` |
///
/// The message of the status is the error's. Other errors of the inner service are returned unchanged, as are those of
/// requests whose content type is not `application/grpc`. Both codes are among those that
/// [gRPC allows](https://github.com/grpc/proposal/blob/master/A54-restrict-control-plane-status-codes.md) for failures of
/// call credentials.
///
/// The status is a
/// [trailers-only](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses) response with an empty body, so
/// the layer works with any gRPC client whose response body implements [`Default`].
///
/// ```
/// use http_body_util::Full;
/// use token_cache_core::{BearerLayer, GrpcStatusLayer, ReplayBody, TemporaryToken, TokenCache, source_fn};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::BoxError> {
/// let source = source_fn(|| async { Err::<TemporaryToken<String>, _>(std::io::Error::other("the issuer is down")) });
/// let cache = TokenCache::builder(source).build();
/// # let channel = service_fn(|_: http::Request<ReplayBody>| async move {
/// #     Ok::<_, std::io::Error>(http::Response::new(Full::<bytes::Bytes>::default()))
/// # });
/// let channel = BearerLayer::new(&cache, |token| token).layer(channel);
/// let channel = GrpcStatusLayer::new().layer(channel);
///
/// let request = http::Request::post("https://service/package.Service/Method")
///     .header("content-type", "application/grpc")
///     .body(Full::<bytes::Bytes>::default())?;
/// let response = channel.oneshot(request).await?;
/// assert_eq!(response.headers()["grpc-status"], "14"); // UNAVAILABLE
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GrpcStatusLayer;

/// The service of a [`GrpcStatusLayer`].
#[derive(Clone, Debug)]
pub struct GrpcStatus<S> {
    inner: S,
}

impl GrpcStatusLayer {
    /// Creates the layer.
    ///
    /// ```
    /// use token_cache_core::{BearerLayer, GrpcStatusLayer, TokenCache};
    /// use tower::ServiceBuilder;
    ///
    /// # fn example(cache: TokenCache<String>) {
    /// let layers = ServiceBuilder::new().layer(GrpcStatusLayer::new()).layer(BearerLayer::new(&cache, |token| token));
    /// # let _ = layers;
    /// # }
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for GrpcStatusLayer {
    type Service = GrpcStatus<S>;

    fn layer(&self, inner: S) -> GrpcStatus<S> {
        GrpcStatus { inner }
    }
}

impl<S, B, R> Service<Request<B>> for GrpcStatus<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>, Future: Send + 'static>,
    R: Default,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_grpc = request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc);
        let response = self.inner.call(request);
        Box::pin(async move {
            let error = match response.await {
                Ok(response) => return Ok(response),
                Err(error) => error.into(),
            };
            match status(&*error) {
                Some((code, message)) if is_grpc => trailers_only(code, &message),
                _ => Err(error),
            }
        })
    }
}

/// <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>
#[derive(Clone, Copy)]
enum Code {
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The status and message for lack of a token. `None` if that is not the reason of `error`, which other layers may have
/// wrapped.
fn status(error: &(dyn StdError + 'static)) -> Option<(Code, String)> {
    if let Some(error) = error.downcast_ref::<NotSent>() {
        return Some((Code::Unauthenticated, error.to_string()));
    }
    let Some(error) = error.downcast_ref::<Error>() else { return status(error.source()?) };
    let code = match error.kind() {
        ErrorKind::Permanent | ErrorKind::Rejected => Code::Unauthenticated,
        _ => Code::Unavailable,
    };
    Some((code, error.to_string()))
}

fn trailers_only<R: Default>(code: Code, message: &str) -> Result<Response<R>, BoxError> {
    let mut response = Response::new(R::default());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert("grpc-status", (code as u16).into());
    headers.insert("grpc-message", HeaderValue::try_from(percent_encode(message))?);
    Ok(response)
}

/// Encodes a status message: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>.
fn percent_encode(message: &str) -> String {
    message.bytes().fold(String::with_capacity(message.len()), |mut encoded, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte.into()),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
        encoded
    })
}

/// Whether a content type is that of gRPC, with any encoding of messages. gRPC-Web is another protocol.
fn is_grpc(content_type: &HeaderValue) -> bool {
    let content_type = content_type.as_bytes();
    let Some((media_type, rest)) = content_type.split_at_checked(GRPC.len()) else { return false };
    media_type.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

const GRPC: &str = "application/grpc";
