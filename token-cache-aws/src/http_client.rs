//! [`http_client`]: the HTTP client of the SDK, by Cargo feature.

#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, http_client_fn};
#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::sdk_config::SharedHttpClient;

/// `None`: the SDK uses its default client.
#[cfg(feature = "https")]
pub(crate) const fn http_client() -> Option<SharedHttpClient> {
    None
}

#[cfg(all(feature = "https-ring", not(feature = "https")))]
pub(crate) fn http_client() -> Option<SharedHttpClient> {
    use aws_smithy_http_client::{Builder, tls};
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    Some(Builder::new().tls_provider(ring).build_https())
}

/// A client that fails each request with an error that names the missing feature. Without any client, the SDK panics.
#[cfg(not(any(feature = "https", feature = "https-ring")))]
pub(crate) fn http_client() -> Option<SharedHttpClient> {
    use aws_smithy_runtime_api::client::http::SharedHttpConnector;
    Some(SharedHttpClient::new(http_client_fn(|_, _| SharedHttpConnector::new(NoHttpClient))))
}

#[cfg(not(any(feature = "https", feature = "https-ring")))]
#[derive(Debug)]
struct NoHttpClient;

#[cfg(not(any(feature = "https", feature = "https-ring")))]
impl HttpConnector for NoHttpClient {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user(NO_HTTP_CLIENT.into())))
    }
}

#[cfg(not(any(feature = "https", feature = "https-ring")))]
const NO_HTTP_CLIENT: &str = "token-cache-aws was built without an HTTP client; enable its feature `https` or `https-ring`, \
                              or pass a client to `token_cache_aws::defaults().http_client(..)`";
