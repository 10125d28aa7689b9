//! A cache or a view as the `CredentialProvider` of object_store.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use object_store::azure::{AzureCredential, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::path::Path;
use object_store::{ClientOptions, CredentialProvider, ObjectStoreExt};
use token_cache_core::test_util::Harness;
use token_cache_core::{ErrorKind, async_trait};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn google_cloud_storage_sends_the_token() {
    let mut harness = Harness::<GcpCredential>::new();
    let requests = Requests::default();
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name("bucket")
        .with_credentials(Arc::new(harness.cache.clone()))
        .with_http_connector(requests.clone())
        .build()
        .unwrap();
    for token in ["one", "two"] {
        let token = GcpCredential { bearer: token.to_owned() };
        let answer = async { harness.source.next_fetch().await.succeed_for(token, HOUR) };
        let (result, ()) = join(store.get(&Path::from("absent")), answer).await;
        assert!(matches!(result, Err(object_store::Error::NotFound { .. })));
        store.get(&Path::from("absent")).await.unwrap_err();
        harness.clock.advance(HOUR);
    }
    assert_eq!(requests.authorizations(), ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn azure_storage_sends_the_token() {
    let mut harness = Harness::<AzureCredential>::new();
    let requests = Requests::default();
    let store = MicrosoftAzureBuilder::new()
        .with_account("account")
        .with_container_name("container")
        .with_credentials(Arc::new(harness.cache.clone()))
        .with_http_connector(requests.clone())
        .build()
        .unwrap();
    let token = AzureCredential::BearerToken("one".to_owned());
    let answer = async { harness.source.next_fetch().await.succeed_for(token, HOUR) };
    let (result, ()) = join(store.get(&Path::from("absent")), answer).await;
    assert!(matches!(result, Err(object_store::Error::NotFound { .. })));
    assert_eq!(requests.authorizations(), ["Bearer one"]);
}

#[tokio::test]
async fn views_serve_several_clouds_and_versions() {
    let mut harness = Harness::<String>::new();
    let cache = harness.cache.clone();
    let google: Arc<dyn CredentialProvider<Credential = GcpCredential>> =
        Arc::new(cache.view(|token| GcpCredential { bearer: token.clone() }));
    let azure: Arc<dyn CredentialProvider<Credential = AzureCredential>> =
        Arc::new(cache.view(|token| AzureCredential::BearerToken(token.clone())));
    let v0_12: Arc<dyn object_store_0_12::CredentialProvider<Credential = String>> = Arc::new(cache.clone());
    let v0_13: Arc<dyn object_store_0_13::CredentialProvider<Credential = usize>> =
        Arc::new(cache.view(|token| token.len()));

    let answer = async { harness.source.next_fetch().await.succeed_for("token".to_owned(), HOUR) };
    let (first, ()) = join(google.get_credential(), answer).await;
    let first = first.unwrap();
    assert_eq!(first.bearer, "token");
    assert!(Arc::ptr_eq(&first, &google.get_credential().await.unwrap()), "converted once");
    assert_eq!(*azure.get_credential().await.unwrap(), AzureCredential::BearerToken("token".to_owned()));
    assert_eq!(*v0_12.get_credential().await.unwrap(), "token");
    assert_eq!(*v0_13.get_credential().await.unwrap(), 5);
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn p01_a_provider_never_waits_for_a_refresh() {
    let mut harness = Harness::<&str>::new();
    let provider: Arc<dyn CredentialProvider<Credential = &str>> = Arc::new(harness.cache.clone());
    harness.fetch("one", HOUR).await;
    harness.clock.advance(HOUR * 97 / 100);
    for _ in 0..2 {
        assert_eq!(*provider.get_credential().now_or_never().unwrap().unwrap(), "one");
    }
    let _hangs = harness.source.next_fetch().await;
    assert_eq!(*provider.get_credential().now_or_never().unwrap().unwrap(), "one");
}

#[tokio::test]
async fn an_error_includes_the_cause_in_one_line() {
    macro_rules! check {
        ($object_store:ident) => {{
            let mut harness = Harness::<String>::new();
            let provider: Arc<dyn $object_store::CredentialProvider<Credential = usize>> =
                Arc::new(harness.cache.view(|token| token.len()));
            let answer = async { harness.source.next_fetch().await.fail_permanently("the account is closed") };
            let (result, ()) = join(provider.get_credential(), answer).await;
            let error = result.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("TokenCache") && text.contains("the account is closed"), "{text}");
            assert!(!text.contains('\n'), "{text}");
            let cause = std::error::Error::source(&error).unwrap();
            let cause: &token_cache_core::Error = cause.downcast_ref().expect("the error of the cache");
            assert_eq!(cause.kind(), ErrorKind::Permanent);
        }};
    }
    check!(object_store_0_12);
    check!(object_store_0_13);
    check!(object_store);
}

#[tokio::test]
async fn p22_debug_of_a_store_shows_no_token() {
    let mut harness = Harness::<String>::new();
    harness.fetch("hunter2".to_owned(), HOUR).await;
    let view = harness.cache.view(|token| GcpCredential { bearer: token.clone() });
    view.get().await.unwrap();
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name("bucket")
        .with_credentials(Arc::new(view))
        .with_http_connector(Requests::default());
    let text = format!("{store:?} {:?}", store.clone().build().unwrap());
    assert!(text.contains("View") && !text.contains("hunter2"), "{text}");
}

/// A server that answers 404, and records the `Authorization` header of each request.
#[derive(Clone, Debug, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    fn authorizations(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl HttpConnector for Requests {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
        self.0.lock().unwrap().push(authorization);
        let mut response = HttpResponse::new(Vec::new().into());
        *response.status_mut() = 404.try_into().unwrap();
        Ok(response)
    }
}
