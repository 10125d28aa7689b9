//! A proxy in front of fake-gcs-server, which does not check tokens: it introspects each token at oidc-provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use object_store::RetryConfig;
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorage, GoogleCloudStorageBuilder};
use serde_json::{Value, json};

use crate::serve::{self, Server};
use crate::{provider, setting};

pub(crate) const BUCKET: &str = "bucket";

pub(crate) struct GcsProxy {
    server: Server,
    rejected: Arc<AtomicU64>,
}

impl GcsProxy {
    pub(crate) async fn start() -> Self {
        let http = reqwest::Client::new();
        let buckets = http.post(format!("{}/storage/v1/b", setting("TOKEN_CACHE_GCS")));
        // 409 if another test was first.
        buckets.json(&json!({ "name": BUCKET })).send().await.unwrap();
        let rejected = Arc::<AtomicU64>::default();
        let server = Server::start({
            let rejected = Arc::clone(&rejected);
            move |request| {
                let (http, rejected) = (http.clone(), Arc::clone(&rejected));
                async move {
                    if is_authorized(&http, &request).await {
                        return forward(&http, request).await;
                    }
                    rejected.fetch_add(1, Ordering::Relaxed);
                    let error = json!({ "error": { "code": 401, "message": "Invalid Credentials" } });
                    serve::json(StatusCode::UNAUTHORIZED, error.to_string())
                }
            }
        })
        .await;
        Self { server, rejected }
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// How many requests it has rejected with 401.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// A store that does not retry, so that each rejected request is an error.
    pub(crate) fn store(&self, credentials: GcpCredentialProvider) -> GoogleCloudStorage {
        GoogleCloudStorageBuilder::new()
            .with_bucket_name(BUCKET)
            .with_base_url(self.url())
            .with_credentials(credentials)
            .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()
            .unwrap()
    }
}

async fn is_authorized(http: &reqwest::Client, request: &Request<Bytes>) -> bool {
    let header = request.headers().get("authorization").and_then(|header| header.to_str().ok());
    match header.and_then(|header| header.strip_prefix("Bearer ")) {
        Some(token) => provider::is_active(http, token).await,
        None => false,
    }
}

async fn forward(http: &reqwest::Client, request: Request<Bytes>) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let mut url = reqwest::Url::parse(&format!("{}{}", setting("TOKEN_CACHE_GCS"), parts.uri)).unwrap();
    let put = parts.method == Method::PUT;
    if put {
        // fake-gcs-server only accepts an upload to the path of an object with this parameter.
        url.query_pairs_mut().append_pair("X-Goog-Algorithm", "GOOG4-RSA-SHA256");
    }
    let mut headers = parts.headers;
    headers.remove("host");
    let response = http.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    if put && status.is_success() {
        let object: Value = serde_json::from_slice(&body).unwrap();
        headers.insert("etag", object["etag"].as_str().unwrap().parse().unwrap());
    }
    let mut forwarded = Response::new(body);
    (*forwarded.status_mut(), *forwarded.headers_mut()) = (status, headers);
    forwarded
}
