//! tonic. A generated client wraps any service: `HealthClient::new(grpc::with_tokens(channel, &cache))`.

use http::{Request, Response};
use token_cache_core::{BearerLayer, BoxError, GrpcStatusLayer, ReplayBody, TokenCache};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceBuilder};

/// Wraps `channel` so that each call carries a token from `cache`. A call for which there is no token ends with the status
/// `UNAVAILABLE` or `UNAUTHENTICATED`.
#[must_use]
pub fn with_tokens(
    channel: Channel,
    cache: &TokenCache<String>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + use<> {
    ServiceBuilder::new()
        .layer(GrpcStatusLayer::new())
        .layer(BearerLayer::new(cache, |token| token))
        .map_request(|request: Request<ReplayBody>| request.map(Body::new))
        .service(channel)
}
