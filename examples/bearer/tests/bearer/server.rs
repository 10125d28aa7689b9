//! HTTP and gRPC servers on loopback that ask an [`AuthServer`] about each request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic_health::ServingStatus;
use tower::layer::layer_fn;

use crate::auth::AuthServer;

/// The name of the service that the gRPC health server reports as serving.
pub(crate) const HEALTHY: &str = "healthy";

/// A path that redirects to `/` with status 307.
pub(crate) const REDIRECT: &str = "/redirect";

/// Starts an HTTP server that returns the body of each authorized request.
pub(crate) async fn start_echo(auth: Arc<AuthServer>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let auth = Arc::clone(&auth);
            let service = service_fn(move |request| echo(Arc::clone(&auth), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn echo(auth: Arc<AuthServer>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == REDIRECT {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
        return Ok(response);
    }
    if auth.authorize(request.headers()).await {
        return Ok(Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes())));
    }
    Ok(unauthorized(Full::default()))
}

fn unauthorized<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The status by which a gRPC server rejects a request.
#[derive(Clone, Copy)]
pub(crate) enum Rejection {
    GrpcStatus,
    /// As a proxy in front of the server does.
    HttpStatus,
}

/// Starts a gRPC server with the health service.
pub(crate) async fn start_health(auth: Arc<AuthServer>, rejection: Rejection) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(HEALTHY, ServingStatus::Serving).await;
    let layer = layer_fn(move |inner| Authorized { inner, auth: Arc::clone(&auth), rejection });
    let server = tonic::transport::Server::builder().layer(layer).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// Passes authorized requests to the inner service and rejects all others.
#[derive(Clone)]
struct Authorized<S> {
    inner: S,
    auth: Arc<AuthServer>,
    rejection: Rejection,
}

impl<S> tower::Service<Request<Body>> for Authorized<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Future: Send> + Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let (auth, rejection) = (Arc::clone(&self.auth), self.rejection);
        async move {
            if auth.authorize(request.headers()).await {
                return inner.call(request).await;
            }
            Ok(match rejection {
                Rejection::GrpcStatus => Status::unauthenticated("").into_http(),
                Rejection::HttpStatus => unauthorized(Body::empty()),
            })
        }
        .boxed()
    }
}
