//! [`Server`]: a service that rejects revoked tokens.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use token_cache_core::{BoxError, ReplayBody};
use tokio::sync::Semaphore;
use tower::Service;

/// Accepts every token that is not revoked, and records the requests. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    revoked: Vec<String>,
    accepted_status: StatusCode,
    grpc: bool,
    rejection: Option<Response<()>>,
    reject_after_one_frame: bool,
    accept_after_one_frame: bool,
    /// Closed when the responses resume.
    paused: Option<Arc<Semaphore>>,
    requests: Vec<Received>,
    unread_body: Option<ReplayBody>,
}

/// A request as the server received it.
pub(crate) struct Received {
    pub(crate) parts: http::request::Parts,
    pub(crate) size_hint: SizeHint,
    pub(crate) end_of_stream: bool,
    /// `None` if the server did not read it to the end.
    pub(crate) body: Option<Bytes>,
    /// The number of frames that the server has read.
    pub(crate) frames: usize,
}

impl Received {
    pub(crate) fn authorization(&self) -> &str {
        self.parts.headers[header::AUTHORIZATION].to_str().unwrap()
    }
}

impl Server {
    pub(crate) fn revoke(&self, token: &str) {
        self.revoke_header(&format!("Bearer {token}"));
    }

    /// Rejects requests that have a header with this value.
    pub(crate) fn revoke_header(&self, value: &str) {
        self.0.lock().unwrap().revoked.push(value.to_owned());
    }

    /// Sets the response to rejected requests. Defaults to 401 without headers.
    pub(crate) fn reject_with(&self, response: Response<()>) {
        self.0.lock().unwrap().rejection = Some(response);
    }

    /// Sets the status for accepted requests. Defaults to 200.
    pub(crate) fn set_accepted_status(&self, status: StatusCode) {
        self.0.lock().unwrap().accepted_status = status;
    }

    /// Responds with a gRPC status instead of an HTTP status.
    pub(crate) fn use_grpc_status(&self) {
        self.0.lock().unwrap().grpc = true;
    }

    /// Rejects a request after reading one frame of its body.
    pub(crate) fn reject_after_one_frame(&self) {
        self.0.lock().unwrap().reject_after_one_frame = true;
    }

    /// Accepts a request after reading one frame of its body.
    pub(crate) fn accept_after_one_frame(&self) {
        self.0.lock().unwrap().accept_after_one_frame = true;
    }

    /// Holds requests back until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.0.lock().unwrap().paused = Some(Arc::new(Semaphore::new(0)));
    }

    pub(crate) fn resume(&self) {
        self.0.lock().unwrap().paused.take().unwrap().close();
    }

    /// The requests since the last call, in the order of their responses.
    pub(crate) fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    /// The body that was last left unread after one frame.
    pub(crate) fn take_unread_body(&self) -> ReplayBody {
        self.0.lock().unwrap().unread_body.take().unwrap()
    }

    async fn serve(self, request: Request<ReplayBody>) -> Result<Response<()>, BoxError> {
        let (parts, mut body) = request.into_parts();
        let (size_hint, end_of_stream) = (body.size_hint(), body.is_end_stream());
        let mut request = Received { parts, size_hint, end_of_stream, body: None, frames: 0 };
        let (rejected, one_frame, grpc, accepted_status, rejection, paused) = {
            let state = self.0.lock().unwrap();
            let rejected =
                request.parts.headers.values().any(|value| state.revoked.iter().any(|revoked| value == revoked));
            let one_frame = if rejected { state.reject_after_one_frame } else { state.accept_after_one_frame };
            (rejected, one_frame, state.grpc, state.accepted_status, state.rejection.clone(), state.paused.clone())
        };
        if let Some(paused) = paused {
            assert!(paused.acquire().await.is_err(), "the semaphore has no permits");
        }
        if one_frame {
            drop(body.frame().await.unwrap().unwrap());
            self.0.lock().unwrap().unread_body = Some(body);
        } else {
            let mut data = BytesMut::new();
            while let Some(frame) = body.frame().await.transpose()? {
                request.frames += 1;
                data.extend(frame.into_data());
                // As hyper does after each frame.
                let _ = (body.is_end_stream(), body.size_hint());
            }
            request.body = Some(data.freeze());
        }
        self.0.lock().unwrap().requests.push(request);
        if let Some(rejection) = rejection.filter(|_| rejected) {
            return Ok(rejection);
        }
        let mut response = Response::new(());
        match (grpc, rejected) {
            (true, _) => {
                let status = if rejected { "16" } else { "0" };
                response.headers_mut().insert("grpc-status", status.parse().unwrap());
            }
            (false, true) => *response.status_mut() = StatusCode::UNAUTHORIZED,
            (false, false) => *response.status_mut() = accepted_status,
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
