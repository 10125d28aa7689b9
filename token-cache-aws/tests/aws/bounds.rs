//! What a rejected request costs if S3, a proxy or the issuer misbehaves.
//!
//! The timeout of the stores is short, because the tests wait for a third of it. Without the limit they would not end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, credential_cache};
use token_cache_core::{TemporaryToken, source_fn};
use token_cache_testing::VirtualClock;

use super::harness::MINUTE;

/// A server in memory. It answers with these responses, one after the other.
#[derive(Clone, Debug, Default)]
struct Server {
    responses: Arc<Mutex<VecDeque<HttpResponse>>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn new(responses: impl IntoIterator<Item = HttpResponse>) -> Self {
        Self { responses: Arc::new(Mutex::new(responses.into_iter().collect())), ..Self::default() }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// A store on this server, with a cache that can fetch again and whose issuer answers `fetches` times.
    fn store(&self, fetches: usize) -> impl ObjectStore + use<> {
        self.store_with(fetches, ClientOptions::new())
    }

    /// The same, for a hang that the limit ends.
    fn impatient_store(&self, fetches: usize) -> impl ObjectStore + use<> {
        self.store_with(fetches, ClientOptions::new().with_timeout(Duration::from_millis(300)))
    }

    fn store_with(&self, fetches: usize, options: ClientOptions) -> impl ObjectStore + use<> {
        let count = Arc::new(AtomicUsize::new(0));
        let source = source_fn(move || {
            let n = count.fetch_add(1, Ordering::Relaxed);
            async move {
                if n >= fetches {
                    std::future::pending::<()>().await;
                }
                let key = format!("team/key-{n}");
                Ok::<_, std::io::Error>(TemporaryToken::never_expires(Credentials::new(key, "secret", None, None, "")))
            }
        });
        let clock = VirtualClock::new();
        let cache = credential_cache(source).min_refresh_interval(Duration::ZERO).clock(clock.clone()).build();
        let aws = AwsTokenCache::new(cache, &aws_config::SdkConfig::builder().build());
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let s3 = AmazonS3Builder::new().with_bucket_name("bucket").with_retry(retry).with_client_options(options);
        clock.advance(MINUTE);
        aws.configure(s3).with_http_connector(aws.retry_rejected(self.clone())).build().unwrap()
    }
}

impl HttpConnector for Server {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Server {
    async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(self.responses.lock().unwrap().pop_front().expect("a response"))
    }
}

fn response(status: u16, body: impl Into<HttpResponseBody>) -> HttpResponse {
    http::Response::builder().status(status).header("content-length", "4").body(body.into()).unwrap()
}

fn expired() -> HttpResponse {
    response(400, "<Error><Code>ExpiredToken</Code></Error>".to_owned())
}

fn found() -> HttpResponse {
    let response = http::Response::builder().header("last-modified", "Tue, 24 Nov 2026 10:00:00 GMT");
    response.header("etag", "tag").header("content-length", "4").body("text".to_owned().into()).unwrap()
}

/// Chunks of 1 MB, and then nothing more, without an end.
struct Endless {
    chunks: usize,
    read: Arc<AtomicUsize>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if self.read.fetch_add(1, Ordering::Relaxed) >= self.chunks {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '; 1 << 20])))))
    }
}

#[tokio::test]
async fn a_key_id_with_slashes_is_replaced() {
    let server = Server::new([expired(), found()]);
    server.store(2).get(&Path::from("object")).await.unwrap();
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_hanging_issuer_does_not_hold_the_answer_back() {
    let server = Server::new([expired()]);
    let error = server.impatient_store(1).get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_401_without_a_code_is_not_the_word_of_s3() {
    for body in ["", "<html>Proxy login</html>", "{\"error\": 401}"] {
        let server = Server::new([response(401, body.to_owned())]);
        server.store(2).get(&Path::from("object")).await.unwrap_err();
        assert_eq!(server.requests(), 1, "{body}");
    }
}

#[tokio::test]
async fn an_error_of_400_mb_is_read_up_to_64_kib() {
    let read = Arc::new(AtomicUsize::new(0));
    let body = HttpResponseBody::new(Endless { chunks: 400, read: Arc::clone(&read) });
    let server = Server::new([response(403, body)]);
    let error = server.store(2).get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().len() < 100_000, "{} bytes", error.to_string().len());
    assert_eq!((read.load(Ordering::Relaxed), server.requests()), (1, 1));
}

#[tokio::test]
async fn an_error_without_an_end_is_given_up_with_the_budget() {
    let endless = || HttpResponseBody::new(Endless { chunks: 0, read: Arc::default() });
    let server = Server::new([response(403, endless())]);
    server.impatient_store(2).get(&Path::from("object")).await.unwrap_err();
    assert_eq!(server.requests(), 1);

    // The body of the `GET` that a `HEAD` becomes.
    let server = Server::new([response(403, String::new()), response(403, endless())]);
    server.impatient_store(2).head(&Path::from("object")).await.unwrap_err();
    assert_eq!(server.requests(), 2);
}
