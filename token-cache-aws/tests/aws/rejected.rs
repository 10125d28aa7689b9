//! Credentials that a service rejects: detecting the rejection, and signing again with new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::client::ReqwestConnector;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, WriteMultipart};
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache, is_credential_rejected};
use token_cache_core::{TemporaryToken, source_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::harness::*;

/// A cache whose source reports no expiry, so that it notices the end of a session only when S3 rejects it.
async fn start() -> (TestAws, AwsTokenCache) {
    let aws = TestAws::start().await;
    let issuer = aws.issuer().clone();
    let source = source_fn(move || {
        let session = credentials(&issuer.new_session());
        async { Ok::<_, std::io::Error>(TemporaryToken::never_expires(session)) }
    });
    // Rejections of one session after the other are accepted at intervals of at most `max_backoff`.
    let cache = credential_cache(source).max_backoff(MINUTE).clock(aws.clock.clone()).build();
    let cache = AwsTokenCache::new(cache, &aws.config().await);
    (aws, cache)
}

impl TestAws {
    /// Ends the current session, and advances the clock so far that the cache may fetch the next one.
    fn end_session(&self) {
        self.issuer().end_sessions();
        self.clock.advance(MINUTE);
    }

    /// The number of requests that S3 has rejected because their session had ended.
    fn rejections(&self) -> u64 {
        self.s3().counts().rejected("ExpiredToken")
    }
}

/// A store that retries rejected requests, and no others.
fn retrying_store(cache: &AwsTokenCache) -> AmazonS3 {
    store_builder(cache).with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap()
}

#[tokio::test]
async fn every_operation_succeeds_after_one_rejection() {
    let (aws, cache) = start().await;
    let store = retrying_store(&cache);
    let path = Path::from("folder/object");
    store.put(&path, "first".into()).await.unwrap();
    assert_eq!(aws.rejections(), 0);

    let mut total = 0;
    let mut assert_rejected = |operation: &str, times: u64| {
        total += times;
        assert_eq!(aws.rejections(), total, "{operation}");
        aws.end_session();
    };
    aws.end_session();
    store.put(&path, "second".into()).await.unwrap();
    assert_rejected("put", 1);
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "second");
    assert_rejected("get", 1);
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "con");
    assert_rejected("get_range", 1);
    assert_eq!(store.head(&path).await.unwrap().size, 6);
    assert_rejected("head, and a get to learn the reason", 2);
    store.copy(&path, &Path::from("folder/copy")).await.unwrap();
    assert_rejected("copy", 1);
    let listed: Vec<_> = store.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
    assert_eq!(listed, [Path::from("folder/copy"), path.clone()]);
    assert_rejected("list", 1);
    assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes, [Path::from("folder")]);
    assert_rejected("list_with_delimiter", 1);
    store.delete(&path).await.unwrap();
    assert_rejected("delete", 1);
    assert!(matches!(store.head(&path).await, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn a_multipart_upload_retries_single_parts() {
    let (aws, cache) = start().await;
    let store = retrying_store(&cache);
    let path = Path::from("large");
    let parts = [vec![1; MIN_PART], vec![2; 1000]];
    let mut upload = store.put_multipart(&path).await.unwrap();
    for part in &parts {
        aws.end_session();
        upload.put_part(part.clone().into()).await.unwrap();
    }
    aws.end_session();
    upload.complete().await.unwrap();

    let read = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert!(read == parts.concat(), "{} bytes", read.len());
    assert_eq!(aws.rejections(), 3);
}

#[tokio::test]
async fn concurrently_rejected_parts_cost_one_fetch() {
    let (aws, cache) = start().await;
    let store = retrying_store(&cache);
    let upload = store.put_multipart(&Path::from("large")).await.unwrap();
    aws.end_session();
    let before = aws.issuer().counts().sessions;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, MIN_PART);
    upload.write(&vec![7; MIN_PART + 1000]);
    upload.finish().await.unwrap();
    assert_eq!(aws.issuer().counts().sessions, before + 1);
    assert!(aws.rejections() >= 1);
    assert_eq!(store.head(&Path::from("large")).await.unwrap().size, MIN_PART as u64 + 1000);
}

#[tokio::test]
async fn a_listing_continues_with_the_rejected_page() {
    let (aws, cache) = start().await;
    let store = retrying_store(&cache);
    for name in ["a", "b", "c"] {
        store.put(&Path::from(name), "".into()).await.unwrap();
    }
    aws.s3().set_page_size(2);
    let mut list = store.list(None);
    let mut names = vec![list.next().await.unwrap().unwrap().location];
    aws.end_session();
    names.extend(list.map_ok(|meta| meta.location).try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(names, ["a", "b", "c"].map(Path::from));
    assert_eq!(aws.rejections(), 1);
}

#[tokio::test]
async fn an_interrupted_download_continues_with_a_new_session() {
    let (aws, cache) = start().await;
    let limit = Arc::new(AtomicUsize::new(usize::MAX));
    let endpoint = proxy(aws.s3().endpoint().replace("http://", ""), Arc::clone(&limit), &aws).await;
    let store = store_builder(&cache)
        .with_retry(RetryConfig::default())
        .with_endpoint(endpoint)
        .with_http_connector(cache.retry_rejected(ReqwestConnector::default()))
        .build()
        .unwrap();
    let content: Vec<u8> = (0..512 << 10).map(|n: u32| (n % 251) as u8).collect();
    store.put(&Path::from("object"), content.clone().into()).await.unwrap();
    limit.store(128 << 10, Ordering::Relaxed);
    let read = store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap();
    assert!(read == content, "{} bytes", read.len());
    assert_eq!(aws.rejections(), 1);
}

/// Forwards connections to `server`. After `limit` bytes from the server, which it counts over all connections, it ends the
/// current session, closes the connection, and forwards without a limit from then on.
async fn proxy(server: String, limit: Arc<AtomicUsize>, aws: &TestAws) -> String {
    let (issuer, clock) = (aws.issuer().clone(), aws.clock.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, limit) = (TcpStream::connect(&server).await.unwrap(), Arc::clone(&limit));
            let (issuer, clock) = (issuer.clone(), clock.clone());
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let mut chunk = vec![0; 16 << 10];
                while let Ok(read @ 1..) = from_server.read(&mut chunk).await {
                    to_client.write_all(&chunk[..read]).await?;
                    let left = limit.load(Ordering::Relaxed);
                    limit.store(left.saturating_sub(read), Ordering::Relaxed);
                    if (1..=read).contains(&left) {
                        limit.store(usize::MAX, Ordering::Relaxed);
                        issuer.end_sessions();
                        clock.advance(MINUTE);
                        break;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_rejected_conditional_write_is_done_once() {
    let (aws, cache) = start().await;
    let store = retrying_store(&cache);
    let create =
        async |text: &'static str| store.put_opts(&Path::from("object"), text.into(), PutMode::Create.into()).await;
    store.put(&Path::from("other"), "".into()).await.unwrap();
    aws.end_session();
    create("one").await.unwrap();
    aws.end_session();
    assert!(matches!(create("two").await, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "one");
}

#[tokio::test]
async fn one_hundred_concurrent_rejections_cost_one_fetch() {
    let (aws, cache) = start().await;
    let store = Arc::new(retrying_store(&cache));
    store.put(&Path::from("object"), "text".into()).await.unwrap();
    aws.end_session();
    let before = aws.issuer().counts().sessions;
    let reads = concurrently(100, |_| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap() })
    });
    assert!(reads.await.iter().all(|read| read == "text"));
    assert_eq!(aws.issuer().counts().sessions, before + 1);
}

#[tokio::test]
async fn without_new_credentials_the_rejection_is_returned() {
    let aws = TestAws::start().await;
    // Without an expiry, like keys in an environment.
    let source = SdkSource::new(credentials(&aws.issuer().new_session()));
    let cache = credential_cache(source).clock(aws.clock.clone()).build();
    let cache = AwsTokenCache::new(cache, &aws.config().await);
    let store = retrying_store(&cache);
    round_trip(&store, "object").await.unwrap();
    aws.end_session();
    let error = store.get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("ExpiredToken") && is_credential_rejected(&error), "{error}");
    assert_eq!(aws.rejections(), 1);
    // The source has returned the rejected credentials again, so other services still get them.
    cache.get().await.unwrap();
}

#[tokio::test]
async fn an_error_of_the_request_itself_is_not_retried() {
    let (aws, cache) = start().await;
    let good = cache.get().await.unwrap();
    let token = good.session_token().map(ToOwned::to_owned);
    let wrong = Credentials::new(good.access_key_id(), "another secret", token, None, "test");
    let wrong = AwsTokenCache::new(credential_cache(SdkSource::new(wrong)).build(), &aws.config().await);
    let error = retrying_store(&wrong).get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("SignatureDoesNotMatch") && !is_credential_rejected(&error), "{error}");
    assert_eq!((aws.s3().counts().requests, wrong.cache().status().generation), (1, 1));
    assert!(wrong.cache().peek().is_some());

    let anonymous = store_builder(&cache).with_skip_signature(true);
    let anonymous = anonymous.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
    let error = anonymous.get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied") && !is_credential_rejected(&error), "{error}");
    assert_eq!(aws.s3().counts().requests, 2);
}

#[tokio::test]
async fn a_rejection_is_detected_in_the_errors_of_each_version() {
    let (aws, cache) = start().await;
    let newest = store(&cache);
    let missing = newest.get(&Path::from("object")).await.unwrap_err();
    assert!(!is_credential_rejected(&missing), "{missing}");
    aws.end_session();

    let error = newest.get(&Path::from("object")).await.unwrap_err();
    assert!(matches!(error, object_store::Error::Generic { .. }) && is_credential_rejected(&error), "{error}");
    {
        use object_store_0_13::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
        let store = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).build().unwrap();
        assert!(is_credential_rejected(&store.get(&Path::from("object")).await.unwrap_err()));
    }
    {
        use object_store_0_12::{ObjectStore as _, aws::AmazonS3Builder, path::Path};
        let store = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).build().unwrap();
        assert!(is_credential_rejected(&store.get(&Path::from("object")).await.unwrap_err()));
    }
}

#[tokio::test]
async fn older_versions_of_object_store_retry_too() {
    let (aws, cache) = start().await;
    {
        use object_store_0_13::client::ReqwestConnector;
        use object_store_0_13::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
        let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET));
        let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
        store.put(&Path::from("object"), "text".into()).await.unwrap();
        aws.end_session();
        assert_eq!(store.head(&Path::from("object")).await.unwrap().size, 4);
        aws.end_session();
        store.put(&Path::from("object"), "longer".into()).await.unwrap();
    }
    {
        use object_store_0_12::client::ReqwestConnector;
        use object_store_0_12::{ObjectStore as _, aws::AmazonS3Builder, path::Path};
        let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET));
        let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
        aws.end_session();
        assert_eq!(store.head(&Path::from("object")).await.unwrap().size, 6);
        aws.end_session();
        store.put(&Path::from("object"), "text".into()).await.unwrap();
        aws.end_session();
        assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "text");
    }
    // A `HEAD` costs two, because its response has no body that names the reason.
    assert_eq!(aws.rejections(), 2 + 1 + 2 + 1 + 1);
}

#[tokio::test]
async fn an_unsigned_payload_stays_unsigned_in_a_retry() {
    let (aws, cache) = start().await;
    let builder = store_builder(&cache).with_unsigned_payload(true);
    let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
    round_trip(&store, "object").await.unwrap();
    aws.end_session();
    store.put(&Path::from("object"), "text".into()).await.unwrap();
    assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "text");
    assert_eq!(aws.rejections(), 1);
}

#[tokio::test]
async fn sdk_clients_share_the_cache_and_report_a_rejection() {
    let (aws, cache) = start().await;
    let sdk = cache.sdk_config().into_builder().endpoint_url(aws.issuer().sts_endpoint()).build();
    let sts = aws_sdk_sts::Client::new(&sdk);
    sts.get_caller_identity().send().await.unwrap();
    round_trip(&store(&cache), "object").await.unwrap();
    assert_eq!(aws.issuer().counts().sessions, 1);

    let current = cache.get().await.unwrap();
    let provided = cache.provide_credentials().await.unwrap();
    assert_eq!((provided.access_key_id(), provided.expiry()), (current.access_key_id(), current.expiry()));

    aws.end_session();
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert!(is_credential_rejected(&error), "{error:?}");
    cache.cache().invalidate(&current);
    sts.get_caller_identity().send().await.expect("the client keeps no credentials");
}

/// In bytes: the minimum of S3 for all parts but the last.
const MIN_PART: usize = 5 << 20;

/// One of two stores rejects whatever it gets, and the issuer does not respond.
#[tokio::test]
async fn a_store_that_rejects_all_keeps_no_other_store_waiting() {
    let (aws, other) = (TestAws::start().await, TestAws::start().await);
    let (issuer, fetches, responses) =
        (aws.issuer().clone(), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(1)));
    let source = source_fn({
        let (fetches, responses) = (Arc::clone(&fetches), Arc::clone(&responses));
        move || {
            fetches.fetch_add(1, Ordering::Relaxed);
            let (session, responses) = (credentials(&issuer.new_session()), Arc::clone(&responses));
            async move {
                responses.acquire_owned().await.map_err(std::io::Error::other)?.forget();
                Ok::<_, std::io::Error>(TemporaryToken::never_expires(session))
            }
        }
    });
    let cache = credential_cache(source).clock(aws.clock.clone()).build();
    let cache = AwsTokenCache::new(cache, &aws.config().await);
    let good = retrying_store(&cache);
    round_trip(&good, "object").await.unwrap();
    // Past the interval between two fetches.
    aws.clock.advance(MINUTE);

    // Its table of keys does not contain that of the cache.
    let bad = store_builder(&cache).with_endpoint(other.s3().endpoint());
    let bad = bad.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
    let rejected = tokio::spawn(async move { round_trip(&bad, "object").await });
    wait_until(|| fetches.load(Ordering::Relaxed) == 2).await;
    for n in 0..100 {
        round_trip(&good, &format!("object-{n}")).await.unwrap();
    }
    assert_eq!((fetches.load(Ordering::Relaxed), aws.s3().counts().requests), (2, 202), "each was sent once");

    responses.add_permits(1);
    let error = rejected.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("InvalidAccessKeyId"), "{error}");
    round_trip(&good, "object").await.unwrap();
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
}
