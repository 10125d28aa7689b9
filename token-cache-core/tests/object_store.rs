//! A cache, or a view of one, where a store wants a `CredentialProvider`.

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
use token_cache_core::{ErrorKind, TemporaryToken, TokenCache, TokenCacheBuilder, async_trait};
use token_cache_testing::{SourceHandle, VirtualClock, mock_source};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_store_of_google_sends_what_a_cache_of_its_credentials_holds() {
    let (cache, mut source, clock) = bench::<GcpCredential>(|cache| cache);
    let requests = Requests::default();
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name("bucket")
        .with_credentials(Arc::new(cache.clone()))
        .with_http_connector(requests.clone())
        .build()
        .unwrap();
    for token in ["one", "two"] {
        let answer = async {
            let token = GcpCredential { bearer: token.to_owned() };
            source.next_fetch().await.succeed(TemporaryToken::new(token, clock.after(HOUR)));
        };
        let (absent, ()) = join(store.get(&Path::from("absent")), answer).await;
        assert!(matches!(absent, Err(object_store::Error::NotFound { .. })));
        store.get(&Path::from("absent")).await.unwrap_err();
        clock.advance(HOUR);
    }
    assert_eq!(requests.authorizations(), ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_store_of_azure_sends_what_a_cache_of_its_credentials_holds() {
    let (cache, mut source, clock) = bench::<AzureCredential>(|cache| cache);
    let requests = Requests::default();
    let store = MicrosoftAzureBuilder::new()
        .with_account("account")
        .with_container_name("container")
        .with_credentials(Arc::new(cache))
        .with_http_connector(requests.clone())
        .build()
        .unwrap();
    let token = AzureCredential::BearerToken("one".to_owned());
    let answer = async { source.next_fetch().await.succeed(TemporaryToken::new(token, clock.after(HOUR))) };
    let (absent, ()) = join(store.get(&Path::from("absent")), answer).await;
    assert!(matches!(absent, Err(object_store::Error::NotFound { .. })));
    assert_eq!(requests.authorizations(), ["Bearer one"]);
}

#[tokio::test]
async fn one_cache_serves_stores_of_different_clouds_and_versions_by_views() {
    let (cache, mut source, clock) = bench::<String>(|cache| cache);
    let google: Arc<dyn CredentialProvider<Credential = GcpCredential>> =
        Arc::new(cache.view(|token| GcpCredential { bearer: token.clone() }));
    let azure: Arc<dyn CredentialProvider<Credential = AzureCredential>> =
        Arc::new(cache.view(|token| AzureCredential::BearerToken(token.clone())));
    let v0_12: Arc<dyn object_store_0_12::CredentialProvider<Credential = String>> = Arc::new(cache.clone());
    let v0_13: Arc<dyn object_store_0_13::CredentialProvider<Credential = usize>> =
        Arc::new(cache.view(|token| token.len()));

    let token = TemporaryToken::new("token".to_owned(), clock.after(HOUR));
    let answer = async { source.next_fetch().await.succeed(token) };
    let (first, ()) = join(google.get_credential(), answer).await;
    let first = first.unwrap();
    assert_eq!(first.bearer, "token");
    assert!(Arc::ptr_eq(&first, &google.get_credential().await.unwrap()), "converted once");
    assert_eq!(*azure.get_credential().await.unwrap(), AzureCredential::BearerToken("token".to_owned()));
    assert_eq!(*v0_12.get_credential().await.unwrap(), "token");
    assert_eq!(*v0_13.get_credential().await.unwrap(), 5);
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_token_at_hand_is_given_at_the_first_poll_while_a_refresh_is_under_way() {
    let (cache, mut source, clock) = bench::<&str>(|cache| cache.jitter(0.0));
    let provider: Arc<dyn CredentialProvider<Credential = &str>> = Arc::new(cache);
    let answer = async { source.next_fetch().await.succeed(TemporaryToken::new("one", clock.after(HOUR))) };
    join(provider.get_credential(), answer).await.0.unwrap();
    clock.advance(HOUR * 97 / 100);
    for _ in 0..2 {
        assert_eq!(*provider.get_credential().now_or_never().unwrap().unwrap(), "one");
    }
    let _hangs = source.next_fetch().await;
    assert_eq!(*provider.get_credential().now_or_never().unwrap().unwrap(), "one");
}

#[tokio::test]
async fn the_stores_error_is_one_line_with_the_cause_and_holds_the_caches_error() {
    macro_rules! check {
        ($object_store:ident) => {{
            let (cache, mut source, _) = bench::<String>(|cache| cache);
            let provider: Arc<dyn $object_store::CredentialProvider<Credential = usize>> =
                Arc::new(cache.view(|token| token.len()));
            let answer = async { source.next_fetch().await.fail_permanently("the account is closed") };
            let (failed, ()) = join(provider.get_credential(), answer).await;
            let error = failed.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("TokenCache") && text.contains("the account is closed"), "{text}");
            assert!(!text.contains('\n'), "{text}");
            let cause = std::error::Error::source(&error).unwrap();
            let cause: &token_cache_core::Error = cause.downcast_ref().expect("the cache's own error");
            assert_eq!(cause.kind(), ErrorKind::Permanent);
        }};
    }
    check!(object_store_0_12);
    check!(object_store_0_13);
    check!(object_store);
}

#[tokio::test]
async fn p22_a_store_over_a_cache_prints_no_token() {
    let (cache, mut source, clock) = bench::<String>(|cache| cache);
    let answer = async {
        source.next_fetch().await.succeed(TemporaryToken::new("hunter2".to_owned(), clock.after(HOUR)));
    };
    join(cache.get(), answer).await.0.unwrap();
    let view = cache.view(|token| GcpCredential { bearer: token.clone() });
    view.get().await.unwrap();
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name("bucket")
        .with_credentials(Arc::new(view))
        .with_http_connector(Requests::default());
    let text = format!("{store:?} {:?}", store.clone().build().unwrap());
    assert!(text.contains("View") && !text.contains("hunter2"), "{text}");
}

fn bench<T: Send + Sync + 'static>(
    setup: impl FnOnce(TokenCacheBuilder<T>) -> TokenCacheBuilder<T>,
) -> (TokenCache<T>, SourceHandle<T>, VirtualClock) {
    let (clock, (mock, source)) = (VirtualClock::new(), mock_source());
    (setup(TokenCache::builder(mock).clock(clock.clone())).build(), source, clock)
}

/// A server that has nothing, and remembers what it was asked with.
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
