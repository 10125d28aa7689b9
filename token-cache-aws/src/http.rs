//! The HTTP client that the SDK gets, by the features that are on.

#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, http_client_fn};
#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
#[cfg(not(any(feature = "https", feature = "https-ring")))]
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::sdk_config::SharedHttpClient;

/// `None`: the SDK has its own.
#[cfg(feature = "https")]
pub(crate) const fn client() -> Option<SharedHttpClient> {
    None
}

#[cfg(all(feature = "https-ring", not(feature = "https")))]
pub(crate) fn client() -> Option<SharedHttpClient> {
    use aws_smithy_http_client::{Builder, tls};
    let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    Some(Builder::new().tls_provider(ring).build_https())
}

/// One that says why it cannot: without any, the SDK panics.
#[cfg(not(any(feature = "https", feature = "https-ring")))]
pub(crate) fn client() -> Option<SharedHttpClient> {
    use aws_smithy_runtime_api::client::http::SharedHttpConnector;
    Some(SharedHttpClient::new(http_client_fn(|_, _| SharedHttpConnector::new(NoHttp))))
}

#[cfg(not(any(feature = "https", feature = "https-ring")))]
#[derive(Debug)]
struct NoHttp;

#[cfg(not(any(feature = "https", feature = "https-ring")))]
impl HttpConnector for NoHttp {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user(NO_HTTP.into())))
    }
}

#[cfg(not(any(feature = "https", feature = "https-ring")))]
const NO_HTTP: &str = "token-cache-aws was built without an HTTP client; enable its feature `https` or `https-ring`, or give \
                       one to `token_cache_aws::defaults().http_client(..)`";
