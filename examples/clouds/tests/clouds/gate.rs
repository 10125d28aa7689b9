//! fake-gcs-server with what it lacks: a check of each request's token, by introspection at the provider.

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

pub(crate) struct Gate {
    server: Server,
    refused: Arc<AtomicU64>,
}

impl Gate {
    pub(crate) async fn start() -> Self {
        let http = reqwest::Client::new();
        let buckets = http.post(format!("{}/storage/v1/b", setting("TOKEN_CACHE_GCS")));
        // 409 where another test was first.
        buckets.json(&json!({ "name": BUCKET })).send().await.unwrap();
        let refused = Arc::<AtomicU64>::default();
        let server = Server::start({
            let refused = Arc::clone(&refused);
            move |request| {
                let (http, refused) = (http.clone(), Arc::clone(&refused));
                async move {
                    if is_authorized(&http, &request).await {
                        return forward(&http, request).await;
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    let error = json!({ "error": { "code": 401, "message": "Invalid Credentials" } });
                    serve::json(StatusCode::UNAUTHORIZED, error.to_string())
                }
            }
        })
        .await;
        Self { server, refused }
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// How many requests came with a token that is no good.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A store that retries nothing, so that each refusal is seen.
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
        // The one way to put an object by its path that fake-gcs-server knows.
        url.query_pairs_mut().append_pair("X-Goog-Algorithm", "GOOG4-RSA-SHA256");
    }
    let mut headers = parts.headers;
    headers.remove("host");
    let answer = http.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    if put && status.is_success() {
        let object: Value = serde_json::from_slice(&body).unwrap();
        headers.insert("etag", object["etag"].as_str().unwrap().parse().unwrap());
    }
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}
