//! [`Client`]: one interface to the clients under test.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use token_cache_bearer::{grpc, hyper, reqwest};
use token_cache_core::BoxError;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

use crate::Harness;
use crate::server::{self, HEALTHY, Rejection};

/// A client that is connected to a server of its protocol.
#[derive(Clone)]
pub(crate) struct Client(Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>);

impl Client {
    pub(crate) async fn hyper(harness: &Harness) -> Self {
        let address = server::start_echo(Arc::clone(&harness.auth)).await;
        let client = hyper::client(&harness.cache);
        Self::new(move || {
            let request = Request::post(format!("http://{address}/")).body(Full::<Bytes>::from("content")).unwrap();
            let response = client.clone().oneshot(request);
            async move { check_echo(response.await?).await }
        })
    }

    pub(crate) async fn reqwest(harness: &Harness) -> Self {
        let address = server::start_echo(Arc::clone(&harness.auth)).await;
        let client = reqwest::with_tokens(::reqwest::Client::new(), &harness.cache);
        Self::new(move || {
            let request = Request::post(format!("http://{address}/")).body("content".into()).unwrap();
            let response = client.clone().oneshot(request);
            async move { check_echo(response.await?).await }
        })
    }

    pub(crate) async fn tonic(harness: &Harness) -> Self {
        Self::grpc(harness, Rejection::GrpcStatus).await
    }

    pub(crate) async fn tonic_behind_a_proxy(harness: &Harness) -> Self {
        Self::grpc(harness, Rejection::HttpStatus).await
    }

    async fn grpc(harness: &Harness, rejection: Rejection) -> Self {
        let address = server::start_health(Arc::clone(&harness.auth), rejection).await;
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let client = HealthClient::new(grpc::with_tokens(channel, &harness.cache));
        Self::new(move || {
            let mut client = client.clone();
            async move {
                let response = client.check(HealthCheckRequest { service: HEALTHY.to_owned() }).await?;
                assert_eq!(response.into_inner().status(), ServingStatus::Serving);
                Ok(())
            }
        })
    }

    fn new<F>(call: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self(Arc::new(move || call().boxed()))
    }

    /// Makes one request. The error is the text of the whole chain.
    pub(crate) async fn call(&self) -> Result<(), String> {
        (self.0)().await.map_err(|error| {
            let mut text = format!("{error} {error:?}");
            let mut source = error.source();
            while let Some(error) = source {
                text += &format!(": {error} {error:?}");
                source = error.source();
            }
            text
        })
    }
}

async fn check_echo<B: Body<Error: Into<BoxError>>>(response: Response<B>) -> Result<(), BoxError> {
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    let body = response.into_body().collect().await.map_err(Into::into)?;
    assert_eq!(body.to_bytes(), "content");
    Ok(())
}
