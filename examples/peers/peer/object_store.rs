//! object_store's cache. It is private, so it is reached through the provider that `AmazonS3Builder` creates for the
//! credentials of an EC2 instance.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Response, StatusCode};
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AwsCredentialProvider};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

use super::{Peer, PeerCache};
use crate::source::{IssuedToken, ScriptedSource};

pub(crate) struct ObjectStore;

/// Answers requests as the instance metadata service does: a session token, the role's name, the role's credentials.
#[derive(Clone, Debug)]
struct InstanceMetadata(Arc<ScriptedSource>);

struct InstanceCredentials(AwsCredentialProvider);

impl Peer for ObjectStore {
    fn name(&self) -> &'static str {
        "object_store"
    }

    fn package(&self) -> Option<&'static str> {
        Some("object_store")
    }

    fn note(&self) -> &'static str {
        "`AmazonS3::credentials()` of a store without configured credentials, whose `HttpConnector` answers as the instance \
         metadata service does and fetches the credentials from the source; without HTTP retries (`max_retries: 0`), which \
         would add calls"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        Ok(Arc::new(InstanceCredentials(provider(source)?)))
    }
}

/// The provider that the builder creates if no credentials are configured.
pub(crate) fn provider(source: Arc<ScriptedSource>) -> object_store::Result<AwsCredentialProvider> {
    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_http_connector(InstanceMetadata(source))
        .build()?;
    Ok(Arc::clone(store.credentials()))
}

impl HttpConnector for InstanceMetadata {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for InstanceMetadata {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (status, body) = if request.uri().path().ends_with(ROLE) {
            match self.0.fetch().await {
                Ok(issued) => (StatusCode::OK, credentials(issued)),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        } else {
            // Serves as the session token and as the role's name.
            (StatusCode::OK, ROLE.to_owned())
        };
        let mut response = Response::new(HttpResponseBody::from(body));
        *response.status_mut() = status;
        Ok(response)
    }
}

#[async_trait]
impl PeerCache for InstanceCredentials {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(self.0.get_credential().await?.key_id.parse()?)
    }
}

const ROLE: &str = "role";

fn credentials(issued: IssuedToken) -> String {
    serde_json::json!({
        "AccessKeyId": issued.number.to_string(),
        "SecretAccessKey": "",
        "Token": "",
        "Expiration": humantime::format_rfc3339_micros(issued.expires_at).to_string(),
    })
    .to_string()
}
