//! object_store's own cache, which is private: it sits in the provider of an instance's credentials that its builder makes.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode};
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AwsCredentialProvider};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

use super::{Caller, Peer};
use crate::script::{Issued, Script};

pub(crate) struct ObjectStore;

/// Answers in the place of the instance's metadata service: a session, the name of the role, its credentials.
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
        "`AmazonS3::credentials()` of a store that has none set, whose `HttpConnector` answers as the instance's metadata \
         service would, and asks the source for the credentials; no retries of HTTP (`max_retries: 0`), which would be more \
         calls"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        Ok(Arc::new(Credentials(provider(script)?)))
    }
}

/// The provider that the builder makes when it is told of no credentials.
pub(crate) fn provider(script: Arc<Script>) -> object_store::Result<AwsCredentialProvider> {
    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_http_connector(Endpoint(script))
        .build()?;
    Ok(Arc::clone(store.credentials()))
}

impl HttpConnector for Endpoint {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Endpoint {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (status, body) = if request.uri().path().ends_with(ROLE) {
            match self.0.fetch().await {
                Ok(issued) => (StatusCode::OK, credentials(issued)),
                Err(down) => (StatusCode::INTERNAL_SERVER_ERROR, down.to_string()),
            }
        } else {
            // Either of the two that come before.
            (StatusCode::OK, ROLE.to_owned())
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

const ROLE: &str = "role";

fn credentials(issued: Issued) -> String {
    serde_json::json!({
        "AccessKeyId": issued.number.to_string(),
        "SecretAccessKey": "",
        "Token": "",
        "Expiration": humantime::format_rfc3339_micros(issued.expires_at).to_string(),
    })
    .to_string()
}
