//! reqwest has requests, responses and bodies of its own.

use http::{Request, Response};
use reqwest::{Body, Client};
use token_cache_core::{BearerLayer, BoxError, ReplayBody, TokenCache};
use tower::{Service, ServiceBuilder};

/// `client`, sending the tokens of `cache`. A redirect that asks for a body once more (307, 308) is the caller's to follow.
pub fn with_tokens(
    client: Client,
    cache: &TokenCache<String>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + use<> {
    ServiceBuilder::new()
        .layer(BearerLayer::new(cache, |token| token))
        .filter(|request: Request<ReplayBody>| reqwest::Request::try_from(request.map(Body::wrap)))
        .map_response(Response::from)
        .service(client)
}
