//! object_store's own cache, which is private: it sits in the provider of a container's credentials that its builder makes.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode};
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

use super::{Caller, Peer};
use crate::script::{Issued, Script};

pub(crate) struct ObjectStore;

/// Answers in the place of the container's endpoint.
#[derive(Clone, Debug)]
struct Endpoint(Arc<Script>);

struct Credentials(AwsCredentialProvider);

impl Peer for ObjectStore {
    fn name(&self) -> &'static str {
        "object_store"
    }

    fn package(&self) -> Option<&'static str> {
        Some("object_store")
    }

    fn note(&self) -> &'static str {
        "`AmazonS3::credentials()` of a store with `ContainerCredentialsRelativeUri`, whose `HttpConnector` is the source; no \
         retries of HTTP (`max_retries: 0`), which would be more calls"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        let store = AmazonS3Builder::new()
            .with_bucket_name("bucket")
            .with_config(AmazonS3ConfigKey::ContainerCredentialsRelativeUri, "/")
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Endpoint(script))
            .build()?;
        Ok(Arc::new(Credentials(Arc::clone(store.credentials()))))
    }
}

impl HttpConnector for Endpoint {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Endpoint {
    async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (status, body) = match self.0.fetch().await {
            Ok(issued) => (StatusCode::OK, credentials(issued)),
            Err(down) => (StatusCode::INTERNAL_SERVER_ERROR, down.to_string()),
        };
        let mut response = Response::new(HttpResponseBody::from(body));
        *response.status_mut() = status;
        Ok(response)
    }
}

#[async_trait]
impl Caller for Credentials {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(self.0.get_credential().await?.key_id.parse()?)
    }
}

fn credentials(issued: Issued) -> String {
    serde_json::json!({
        "AccessKeyId": issued.number.to_string(),
        "SecretAccessKey": "",
        "Token": "",
        "Expiration": humantime::format_rfc3339_micros(issued.expires_at).to_string(),
    })
    .to_string()
}
