//! [`Client`]: one call of each client.

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

use crate::Bench;
use crate::server::{self, KNOWN, Rejection};

/// A client of any kind.
#[derive(Clone)]
pub(crate) struct Client(Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>);

impl Client {
    pub(crate) async fn hyper(bench: &Bench) -> Self {
        let address = server::echo(Arc::clone(&bench.service)).await;
        let client = hyper::client(&bench.cache);
        Self::new(move || {
            let request = Request::post(format!("http://{address}/")).body(Full::<Bytes>::from("question")).unwrap();
            let answer = client.clone().oneshot(request);
            async move { is_echo(answer.await?).await }
        })
    }

    pub(crate) async fn reqwest(bench: &Bench) -> Self {
        let address = server::echo(Arc::clone(&bench.service)).await;
        let client = reqwest::with_tokens(::reqwest::Client::new(), &bench.cache);
        Self::new(move || {
            let request = Request::post(format!("http://{address}/")).body("question".into()).unwrap();
            let answer = client.clone().oneshot(request);
            async move { is_echo(answer.await?).await }
        })
    }

    pub(crate) async fn tonic(bench: &Bench) -> Self {
        Self::grpc(bench, Rejection::Grpc).await
    }

    pub(crate) async fn tonic_behind_a_proxy(bench: &Bench) -> Self {
        Self::grpc(bench, Rejection::Http).await
    }

    async fn grpc(bench: &Bench, rejection: Rejection) -> Self {
        let address = server::health(Arc::clone(&bench.service), rejection).await;
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let client = HealthClient::new(grpc::with_tokens(channel, &bench.cache));
        Self::new(move || {
            let mut client = client.clone();
            async move {
                let answer = client.check(HealthCheckRequest { service: KNOWN.to_owned() }).await?;
                assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
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

    /// One call, or all that its error says.
    pub(crate) async fn call(&self) -> Result<(), String> {
        (self.0)().await.map_err(|error| {
            let mut text = format!("{error} {error:?}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error} {error:?}");
                cause = error.source();
            }
            text
        })
    }
}

async fn is_echo<B: Body<Error: Into<BoxError>>>(response: Response<B>) -> Result<(), BoxError> {
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    let answer = response.into_body().collect().await.map_err(Into::into)?;
    assert_eq!(answer.to_bytes(), "question");
    Ok(())
}
