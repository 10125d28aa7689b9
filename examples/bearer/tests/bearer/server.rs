//! Servers on loopback that let in whom [`Service`] admits.

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

use crate::service::Service;

/// What the health server knows.
pub(crate) const KNOWN: &str = "known";

/// Where a server has moved from.
pub(crate) const MOVED: &str = "/moved";

/// Answers with what it is sent, but for one address that has moved.
pub(crate) async fn echo(service: Arc<Service>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = Arc::clone(&service);
            let answer = service_fn(move |request| answer(Arc::clone(&service), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    address
}

async fn answer(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == MOVED {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
        return Ok(response);
    }
    if service.admits(request.headers()).await {
        return Ok(Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes())));
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
}

/// How a server of gRPC rejects.
#[derive(Clone, Copy)]
pub(crate) enum Rejection {
    Grpc,
    Http,
}

/// The health service of gRPC.
pub(crate) async fn health(service: Arc<Service>, rejection: Rejection) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(KNOWN, ServingStatus::Serving).await;
    let guard = layer_fn(move |inner| Guard { inner, service: Arc::clone(&service), rejection });
    let server = tonic::transport::Server::builder().layer(guard).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

#[derive(Clone)]
struct Guard<S> {
    inner: S,
    service: Arc<Service>,
    rejection: Rejection,
}

impl<S> tower::Service<Request<Body>> for Guard<S>
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
        let mut inner = self.inner.clone();
        std::mem::swap(&mut inner, &mut self.inner);
        let (service, rejection) = (Arc::clone(&self.service), self.rejection);
        async move {
            if service.admits(request.headers()).await {
                return inner.call(request).await;
            }
            Ok(match rejection {
                Rejection::Grpc => Status::unauthenticated("").into_http(),
                Rejection::Http => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                    response
                }
            })
        }
        .boxed()
    }
}
