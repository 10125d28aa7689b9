//! [`TokenEndpoint`]: an OAuth 2.0 token endpoint on loopback that returns tokens of a [`ScriptedSource`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::task::{AbortHandle, JoinSet};

use crate::source::ScriptedSource;

/// Serves requests until it is dropped.
pub(crate) struct TokenEndpoint {
    address: SocketAddr,
    accept: AbortHandle,
}

impl TokenEndpoint {
    pub(crate) fn start(source: Arc<ScriptedSource>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self { address, accept: tokio::spawn(accept(listener, source)).abort_handle() })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, source: Arc<ScriptedSource>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let source = Arc::clone(&source);
        connections.spawn(async move {
            let service = service_fn(move |request| respond(Arc::clone(&source), request));
            // The only error here is a client that closes its connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// With a subject token ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)), returns that token as the access token.
/// Without one, as for a refresh token, fetches a new token from the source.
async fn respond(
    source: Arc<ScriptedSource>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let subject = form_urlencoded::parse(&body).find(|(key, _)| key == "subject_token").map(|(_, value)| value);
    let number = match subject {
        Some(subject) => subject.parse().ok(),
        None => source.fetch().await.ok().map(|issued| issued.number),
    };
    let remaining = number.and_then(|number| source.remaining(number)).unwrap_or_default();
    let token = serde_json::json!({
        "access_token": number.map(|number: usize| number.to_string()).unwrap_or_default(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": (remaining + ROUNDING).as_secs(),
    });
    let mut response = Response::new(Full::from(token.to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Rounds the lifetime to the nearest second.
const ROUNDING: Duration = Duration::from_millis(500);
