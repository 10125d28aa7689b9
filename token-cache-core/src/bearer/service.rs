//! [`Bearer`]: sends a request, and repeats it once if its token is rejected.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, future, mem};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, Uri, request, uri};
use http_body::Body;
use tower_service::Service;

use super::{ReplayBody, Settings};
use crate::source::BoxError;

/// The service of a [`BearerLayer`](crate::BearerLayer).
pub struct Bearer<S, T> {
    inner: S,
    settings: Arc<Settings<T>>,
}

impl<S, T> Bearer<S, T> {
    pub(super) const fn new(inner: S, settings: Arc<Settings<T>>) -> Self {
        Self { inner, settings }
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
        Box::pin(send(ready, Arc::clone(&self.settings), request.map(ReplayBody::new)))
    }
}

async fn send<S, T, R>(
    mut service: S,
    settings: Arc<Settings<T>>,
    request: Request<ReplayBody>,
) -> Result<Response<R>, BoxError>
where
    S: Service<Request<ReplayBody>, Response = Response<R>, Error: Into<BoxError>>,
    T: Send + Sync + 'static,
{
    if settings.https_only {
        require_https(request.uri())?;
    }
    let Settings { name, headers, .. } = &*settings;
    let token = headers.get().await?;
    let header = token.as_ref().as_ref().ok_or(NotSent::InvalidHeader)?;
    let (parts, body) = request.into_parts();
    let replay = body.replay();
    let response = service.call(authorized(parts.clone(), body, name, header)).await.map_err(Into::into)?;
    let (response_parts, response_body) = response.into_parts();
    let rejected = (settings.rejects)(&response_parts);
    let response = Response::from_parts(response_parts, response_body);
    if !rejected {
        return Ok(response);
    }
    let next = headers.replace(&token);
    if !replay.is_possible() {
        // One poll rejects the token. The fetch that it may start does not need this request.
        next.now_or_never();
        return Ok(response);
    }
    let Ok(next) = next.await else { return Ok(response) };
    let Some(next) = next.as_ref().as_ref().filter(|next| *next != header) else { return Ok(response) };
    // The connection may have read more of the body since, up to too much to repeat.
    let Some(body) = replay.start() else { return Ok(response) };
    drop(response);
    future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    service.call(authorized(parts, body, name, next)).await.map_err(Into::into)
}

fn authorized(parts: request::Parts, body: ReplayBody, name: &HeaderName, value: &HeaderValue) -> Request<ReplayBody> {
    let mut request = Request::from_parts(parts, body);
    request.headers_mut().insert(name.clone(), value.clone());
    request
}

fn require_https(uri: &Uri) -> Result<(), NotSent> {
    match uri.scheme() {
        // The parts of a URI may have been put together without normalization.
        Some(scheme) if scheme.as_str().eq_ignore_ascii_case("https") => Ok(()),
        Some(scheme) => Err(NotSent::NotHttps(scheme.clone())),
        None => Err(NotSent::UnknownScheme),
    }
}

/// Why a request is not sent although there may be a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    #[error(
        "the token contains characters that are not allowed in a header, such as a line break at its end: remove them in \
         the token source"
    )]
    InvalidHeader,
    #[error("the token is sent over https only, but the URI of the request starts with {0}: change the URI to https")]
    NotHttps(uri::Scheme),
    #[error(
        "the token is sent over https only, but the URI of the request has no scheme: use an absolute https URI (for a \
         tonic client: with_origin)"
    )]
    UnknownScheme,
}

impl<S: Clone, T> Clone for Bearer<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, T: Send + Sync + 'static> fmt::Debug for Bearer<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("inner", &self.inner).field("settings", &self.settings).finish()
    }
}
