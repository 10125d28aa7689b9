//! reqwest, with conversions between its own request, response and body types and those of the `http` crate.

use http::{Request, Response};
use reqwest::{Body, Client};
use token_cache_core::{BearerLayer, BoxError, ReplayBody, TokenCache};
use tower::{Service, ServiceBuilder};

/// Wraps `client` so that each request carries a token from `cache`.
///
/// A 307 or 308 redirect of a request with a body is returned to the caller: reqwest follows it only if it can clone the
/// body, and a [`ReplayBody`] cannot be cloned.
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
