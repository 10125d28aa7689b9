//! [`http_client`]: sends what is for this machine past any proxy.
//!
//! The metadata services and the agents of containers are at link-local or loopback addresses. A proxy would see their
//! authorization tokens, and would reach its own metadata service.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::address::is_local;

pub(super) fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(LocalDirect { direct: client(ProxyConfig::disabled), proxied: client(ProxyConfig::from_env) })
}

/// As the SDK's default client.
fn client(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CRYPTO));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(proxy()));
        connector.build()
    })
}

#[cfg(feature = "https")]
const CRYPTO: CryptoMode = CryptoMode::AwsLc;
#[cfg(not(feature = "https"))]
const CRYPTO: CryptoMode = CryptoMode::Ring;

/// One of two clients or connectors, by the address of the request.
#[derive(Debug)]
struct LocalDirect<T> {
    direct: T,
    proxied: T,
}

impl HttpClient for LocalDirect<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LocalDirect {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

impl HttpConnector for LocalDirect<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_local(request.uri()) {
            return self.direct.call(request);
        }
        self.proxied.call(request)
    }
}

/// The proxy that the environment names for a request, without its user and password.
pub(super) fn proxy_of(uri: &Uri) -> Option<String> {
    let proxy = Matcher::from_env().intercept(uri)?;
    let (scheme, host) = (proxy.uri().scheme_str().unwrap_or("http"), proxy.uri().host()?);
    Some(match proxy.uri().port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}
