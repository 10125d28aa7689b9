//! [`Exchange`]: the token endpoint of OAuth2, on loopback, that makes an access token of a [`Script`]'s.

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

use crate::script::Script;

/// Serves until it is dropped.
pub(crate) struct Exchange {
    address: SocketAddr,
    accepts: AbortHandle,
}

impl Exchange {
    pub(crate) fn start(script: Arc<Script>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self { address, accepts: tokio::spawn(accept(listener, script)).abort_handle() })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&script), request));
            // An error is the client's going away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The same number, for as many whole seconds as it still works; a new one to whoever brings none.
async fn answer(script: Arc<Script>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let subject = form_urlencoded::parse(&body).find(|(key, _)| key == "subject_token").map(|(_, value)| value);
    let number = match subject {
        Some(subject) => subject.parse().ok(),
        None => script.fetch().await.ok().map(|issued| issued.number),
    };
    let remaining = number.and_then(|number| script.remaining(number));
    let token = serde_json::json!({
        "access_token": number.map(|number| number.to_string()).unwrap_or_default(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": remaining.map_or(0, |remaining| (remaining + HALF_A_SECOND).as_secs()),
    });
    let mut response = Response::new(Full::from(token.to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// To round by.
const HALF_A_SECOND: Duration = Duration::from_millis(500);
