//! hyper, whose client sends a [`ReplayBody`] without conversion.

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use token_cache_core::{Bearer, BearerLayer, ReplayBody, TokenCache};
use tower::Layer;

/// Creates a client whose requests carry a token from `cache`.
#[must_use]
pub fn client(cache: &TokenCache<String>) -> Bearer<Client<HttpConnector, ReplayBody>, String> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    BearerLayer::new(cache, |token| token).layer(client)
}
