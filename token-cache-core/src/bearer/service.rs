//! [`Bearer`]: sends a request, and repeats it once if its token is rejected.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, future, mem};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request};
use http_body::Body;
use tower_service::Service;

use super::{Headers, ReplayBody};
use crate::source::BoxError;

/// The service of a [`BearerLayer`](crate::BearerLayer).
pub struct Bearer<S, T> {
    inner: S,
    headers: Headers<T>,
}

impl<S, T> Bearer<S, T> {
    pub(super) const fn new(inner: S, headers: Headers<T>) -> Self {
        Self { inner, headers }
    }
}

impl<S, T, B, R> Service<Request<B>> for Bearer<S, T>
where
    S: Service<Request<ReplayBody>, Response = Response<R>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
    T: Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone may not be ready:
        // https://docs.rs/tower/0.5/tower/trait.Service.html#be-careful-when-cloning-inner-services
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        Box::pin(send(ready, self.headers.clone(), request.map(ReplayBody::new)))
    }
}

async fn send<S, T, R>(
    mut service: S,
    headers: Headers<T>,
    request: Request<ReplayBody>,
) -> Result<Response<R>, BoxError>
where
    S: Service<Request<ReplayBody>, Response = Response<R>, Error: Into<BoxError>>,
    T: Send + Sync + 'static,
{
    let token = headers.get().await?;
    let header = token.as_ref().as_ref().ok_or(InvalidHeader)?;
    let (parts, body) = request.into_parts();
    let replay = body.replay();
    let response = service.call(authorized(parts.clone(), body, header)).await.map_err(Into::into)?;
    if !is_rejection(&response) {
        return Ok(response);
    }
    headers.invalidate(&token);
    if !replay.is_possible() {
        return Ok(response);
    }
    let Ok(next) = headers.get().await else { return Ok(response) };
    let Some(next) = next.as_ref().as_ref().filter(|next| *next != header) else { return Ok(response) };
    // The connection may have read more of the body since, up to too much to repeat.
    let Some(body) = replay.start() else { return Ok(response) };
    drop(response);
    future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    service.call(authorized(parts, body, next)).await.map_err(Into::into)
}

fn authorized(parts: request::Parts, body: ReplayBody, header: &HeaderValue) -> Request<ReplayBody> {
    let mut request = Request::from_parts(parts, body);
    request.headers_mut().insert(header::AUTHORIZATION, header.clone());
    request
}

/// In a trailers-only response, gRPC sends its status as a header and the HTTP status is 200:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>.
fn is_rejection<R>(response: &Response<R>) -> bool {
    const UNAUTHENTICATED: &str = "16";
    response.status() == StatusCode::UNAUTHORIZED
        || response.headers().get("grpc-status").is_some_and(|status| status == UNAUTHENTICATED)
}

#[derive(Debug, thiserror::Error)]
#[error("the token contains characters that are not allowed in a header")]
struct InvalidHeader;

impl<S: Clone, T> Clone for Bearer<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), headers: self.headers.clone() }
    }
}

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for Bearer<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("inner", &self.inner).field("headers", &self.headers).finish()
    }
}
