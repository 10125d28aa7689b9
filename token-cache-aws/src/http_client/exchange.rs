//! [`Exchange`]: the last request of a fetch. The SDK's errors do not name its host, and leave out what the endpoint of a
//! container says.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Uri;

use super::address::is_local;
use super::proxy_of;
use crate::error_body::read_error_body;

/// The last request of a fetch, as far as an error should tell of it. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Exchange(Arc<Mutex<Request>>);

#[derive(Default)]
struct Request {
    /// With the port.
    host: String,
    /// That the environment names for this request. Otherwise nobody looks for the cause there.
    proxy: Option<String>,
    is_answered: bool,
    /// The body of a response of this machine that reports an error.
    refusal: Option<String>,
}

impl Exchange {
    /// A client that records its requests here.
    pub(crate) fn observe(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Observed { exchange: self.clone(), inner: client })
    }

    /// Who did not respond to the last request: its host, and the proxy. `None` if there was a response.
    pub(crate) fn unanswered(&self) -> Option<String> {
        let request = self.request();
        let Request { host, proxy, is_answered, .. } = &*request;
        (!is_answered && !host.is_empty()).then(|| match proxy {
            Some(proxy) => format!("{host}, for which HTTPS_PROXY, HTTP_PROXY or ALL_PROXY name the proxy {proxy}"),
            None => host.clone(),
        })
    }

    /// What a service on this machine has said with its last response, if that reports an error. Not redacted.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.request().refusal.clone()
    }

    fn request(&self) -> MutexGuard<'_, Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Without the response.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Observed<T> {
    exchange: Exchange,
    inner: T,
}

impl HttpClient for Observed<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let (exchange, inner) = (self.exchange.clone(), self.inner.http_connector(settings, components));
        SharedHttpConnector::new(Observed { exchange, inner })
    }
}

impl HttpConnector for Observed<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::authority).map_or("", |authority| {
            let with_user = authority.as_str();
            with_user.rsplit_once('@').map_or(with_user, |(_, host)| host)
        });
        let is_local = is_local(request.uri());
        let proxy = uri.as_ref().filter(|_| !is_local).and_then(proxy_of);
        *self.exchange.request() = Request { host: host.to_owned(), proxy, ..Request::default() };
        let (exchange, response) = (self.exchange.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            let mut response = response.await?;
            exchange.request().is_answered = true;
            if is_local && !response.status().is_success() {
                let refusal = read_body(&mut response).await;
                exchange.request().refusal = refusal;
            }
            Ok(response)
        })
    }
}

/// Reads the start of a body, and leaves that in the response: of an error, the SDK needs no more. `None` if there is more,
/// which is no message for a person, or if it ends early.
async fn read_body(response: &mut HttpResponse) -> Option<String> {
    let body = read_error_body(response.take_body()).await;
    let bytes = body.as_ref().map_or_else(|_| Vec::new(), |body| body.bytes.clone());
    *response.body_mut() = SdkBody::from(bytes);
    body.ok().filter(|body| body.is_whole).map(|body| String::from_utf8_lossy(&body.bytes).into_owned())
}
