//! [`http_client`]: the HTTP client of the SDK, by Cargo feature.

mod address;
mod exchange;

use aws_types::sdk_config::SharedHttpClient;

pub(crate) use self::exchange::Exchange;

#[cfg(any(feature = "https", feature = "https-ring"))]
mod local;
#[cfg(any(feature = "https", feature = "https-ring"))]
use self::local::proxy_of;

/// A client that uses the proxies of the environment, but not for addresses of this machine.
#[cfg(any(feature = "https", feature = "https-ring"))]
pub(crate) fn http_client() -> Option<SharedHttpClient> {
    Some(local::http_client())
}

/// A client that fails each request and names the missing feature. Without any client, the SDK panics.
#[cfg(not(any(feature = "https", feature = "https-ring")))]
pub(crate) fn http_client() -> Option<SharedHttpClient> {
    use aws_smithy_runtime_api::client::http::{SharedHttpConnector, http_client_fn};
    Some(SharedHttpClient::new(http_client_fn(|_, _| SharedHttpConnector::new(missing::NoHttpClient))))
}

/// The client of the program decides about proxies.
#[cfg(not(any(feature = "https", feature = "https-ring")))]
const fn proxy_of(_: &http::Uri) -> Option<String> {
    None
}

#[cfg(not(any(feature = "https", feature = "https-ring")))]
mod missing {
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    #[derive(Debug)]
    pub(super) struct NoHttpClient;

    impl HttpConnector for NoHttpClient {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::ready(Err(ConnectorError::user(MESSAGE.into())))
        }
    }

    const MESSAGE: &str = "token-cache-aws was built without an HTTP client; enable its feature `https` or \
                           `https-ring`, or pass a client to `token_cache_aws::defaults().http_client(..)`";
}
