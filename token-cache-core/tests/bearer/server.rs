//! [`Server`]: a service that knows which tokens were revoked.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use token_cache_core::{BoxError, ReplayBody};
use tokio::sync::Semaphore;
use tower::Service;

/// Rejects the tokens that were revoked, and remembers what it got.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Behaviour>>);

#[derive(Default)]
struct Behaviour {
    revoked: Vec<String>,
    accepted: StatusCode,
    grpc: bool,
    early: bool,
    keeps: bool,
    held: Option<Arc<Semaphore>>,
    got: Vec<Got>,
    unread: Option<ReplayBody>,
}

pub(crate) struct Got {
    pub(crate) parts: http::request::Parts,
    pub(crate) hint: SizeHint,
    pub(crate) end_of_stream: bool,
    pub(crate) body: Option<Bytes>,
}

impl Got {
    pub(crate) fn bearer(&self) -> &str {
        self.parts.headers[header::AUTHORIZATION].to_str().unwrap()
    }
}

impl Server {
    pub(crate) fn revoke(&self, token: &str) {
        self.0.lock().unwrap().revoked.push(format!("Bearer {token}"));
    }

    pub(crate) fn answer(&self, status: StatusCode) {
        self.0.lock().unwrap().accepted = status;
    }

    pub(crate) fn speak_grpc(&self) {
        self.0.lock().unwrap().grpc = true;
    }

    /// Rejects before it has read more than one frame.
    pub(crate) fn read_one_frame_of_rejected(&self) {
        self.0.lock().unwrap().early = true;
    }

    /// Accepts before it has read more than one frame.
    pub(crate) fn keep_accepted(&self) {
        self.0.lock().unwrap().keeps = true;
    }

    /// Lets no answer out.
    pub(crate) fn hold(&self) {
        self.0.lock().unwrap().held = Some(Arc::new(Semaphore::new(0)));
    }

    pub(crate) fn let_go(&self) {
        self.0.lock().unwrap().held.take().unwrap().close();
    }

    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.0.lock().unwrap().got)
    }

    pub(crate) fn unread(&self) -> ReplayBody {
        self.0.lock().unwrap().unread.take().unwrap()
    }

    async fn serve(self, request: Request<ReplayBody>) -> Result<Response<()>, BoxError> {
        let (parts, mut body) = request.into_parts();
        let mut got = Got { parts, hint: body.size_hint(), end_of_stream: body.is_end_stream(), body: None };
        let (rejected, stops, grpc, accepted, held) = {
            let behaviour = self.0.lock().unwrap();
            let rejected = behaviour.revoked.iter().any(|revoked| revoked == got.bearer());
            let stops = if rejected { behaviour.early } else { behaviour.keeps };
            (rejected, stops, behaviour.grpc, behaviour.accepted, behaviour.held.clone())
        };
        if let Some(held) = held {
            assert!(held.acquire().await.is_err(), "closed, and no more");
        }
        if stops {
            drop(body.frame().await.unwrap().unwrap());
            self.0.lock().unwrap().unread = Some(body);
        } else {
            got.body = Some(body.collect().await?.to_bytes());
        }
        self.0.lock().unwrap().got.push(got);
        let mut response = Response::new(());
        match (grpc, rejected) {
            (true, _) => {
                let status = if rejected { "16" } else { "0" };
                response.headers_mut().insert("grpc-status", status.parse().unwrap());
            }
            (false, true) => *response.status_mut() = StatusCode::UNAUTHORIZED,
            (false, false) => *response.status_mut() = accepted,
        }
        Ok(response)
    }
}

impl Service<Request<ReplayBody>> for Server {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody>) -> Self::Future {
        self.clone().serve(request).boxed()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

/// A service that panics when it is called without having been made ready.
#[derive(Debug)]
pub(crate) struct Strict<S> {
    inner: S,
    ready: bool,
    readied: Arc<AtomicUsize>,
}

impl<S> Strict<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, ready: false, readied: Arc::default() }
    }

    /// How often it was made ready, with its clones.
    pub(crate) fn readied(&self) -> usize {
        self.readied.load(Ordering::SeqCst)
    }
}

impl<S: Clone> Clone for Strict<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ready: false, readied: Arc::clone(&self.readied) }
    }
}

impl<S: Service<Request<ReplayBody>>> Service<Request<ReplayBody>> for Strict<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready = true;
        self.readied.fetch_add(1, Ordering::SeqCst);
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReplayBody>) -> S::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been made ready");
        self.inner.call(request)
    }
}
