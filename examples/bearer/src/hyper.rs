//! hyper takes the body of the layer as it is.

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use token_cache_core::{Bearer, BearerLayer, ReplayBody, TokenCache};
use tower::Layer;

/// A client that sends the tokens of `cache`.
#[must_use]
pub fn client(cache: &TokenCache<String>) -> Bearer<Client<HttpConnector, ReplayBody>, String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    BearerLayer::new(cache, |token| token).layer(client)
}
