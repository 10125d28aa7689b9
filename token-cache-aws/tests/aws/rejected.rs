//! Credentials that a service no longer accepts: telling them apart, and signing anew.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use aws_credential_types::provider::ProvideCredentials;
use futures::{StreamExt, TryStreamExt};
use object_store::client::ReqwestConnector;
use object_store::{MultipartUpload, ObjectStore, PutMode, WriteMultipart};
use token_cache_aws::is_credential_rejected;
use token_cache_core::{ErrorKind, TemporaryToken, source_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIFETIME: Duration = Duration::from_millis(300);

/// An issuer that is wrong about its sessions, which end long before it says: so that each one is rejected in the end.
async fn lying() -> (FakeAws, AwsTokenCache) {
    let aws = aws_with_sessions_of(LIFETIME).await;
    let issuer = aws.issuer().clone();
    let source = source_fn(move || {
        let issuer = issuer.clone();
        async move {
            let session = issuer.new_session();
            let token = session.session_token().map(ToOwned::to_owned);
            let key = Credentials::new(session.access_key_id(), session.secret_access_key(), token, None, "kit");
            Ok::<_, std::io::Error>(TemporaryToken::never_expires(key))
        }
    });
    let config = assumed_role(&aws).await;
    let cache = AwsTokenCache::new(builder(source).min_refresh_interval(SECOND / 100).build(), &config);
    (aws, cache)
}

/// A store over it that retries nothing but what was rejected.
fn retrying(cache: &AwsTokenCache) -> AmazonS3 {
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_retry(retry);
    builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap()
}

/// Waits until the session at hand is of no use.
async fn expire() {
    tokio::time::sleep(LIFETIME + SECOND / 20).await;
}

#[tokio::test]
async fn every_operation_gets_over_a_rejection_and_each_costs_one() {
    let (aws, cache) = lying().await;
    let store = retrying(&cache);
    let path = Path::from("folder/object");
    let rejected = || aws.s3().counts().rejected("ExpiredToken");
    store.put(&path, "first".into()).await.unwrap();
    assert_eq!(rejected(), 0);

    let mut so_far = 0;
    let mut once = |operation: &str, costs: usize| {
        so_far += costs;
        assert_eq!(rejected() as usize, so_far, "{operation}");
    };
    expire().await;
    store.put(&path, "second".into()).await.unwrap();
    once("put", 1);
    expire().await;
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "second");
    once("get", 1);
    expire().await;
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "con");
    once("get_range", 1);
    expire().await;
    assert_eq!(store.head(&path).await.unwrap().size, 6);
    once("head, and a get for the reason", 2);
    expire().await;
    store.copy(&path, &Path::from("folder/copy")).await.unwrap();
    once("copy", 1);
    expire().await;
    let listed: Vec<_> = store.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
    assert_eq!(listed, [Path::from("folder/copy"), path.clone()]);
    once("list", 1);
    expire().await;
    assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes, [Path::from("folder")]);
    once("list_with_delimiter", 1);
    expire().await;
    store.delete(&path).await.unwrap();
    once("delete", 1);
    assert!(matches!(store.head(&path).await, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_and_no_part_is_there_twice() {
    let (aws, cache) = lying().await;
    let store = retrying(&cache);
    let path = Path::from("large");
    let part = |n: u8| bytes::Bytes::from(vec![n; 5 << 20]);
    let mut upload = store.put_multipart(&path).await.unwrap();
    for n in 0..3 {
        expire().await;
        upload.put_part(part(n).into()).await.unwrap();
    }
    expire().await;
    upload.complete().await.unwrap();

    let read = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(read.len(), 3 * (5 << 20));
    assert!((0..3).all(|n| read[usize::from(n) * (5 << 20)..][..5 << 20] == part(n)[..]));
    assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 4);
}

#[tokio::test]
async fn parts_that_are_rejected_side_by_side_are_signed_anew_by_one_fetch() {
    let (aws, cache) = lying().await;
    let store = retrying(&cache);
    let upload = store.put_multipart(&Path::from("large")).await.unwrap();
    expire().await;
    let before = aws.issuer().counts().sessions;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, 5 << 20);
    upload.write(&vec![7; 20 << 20]);
    upload.finish().await.unwrap();
    // One for the parts; and one more if they took so long that completing was too late for it.
    assert!((1..=2).contains(&(aws.issuer().counts().sessions - before)));
    assert_eq!(store.head(&Path::from("large")).await.unwrap().size, 20 << 20);
}

#[tokio::test]
async fn a_listing_goes_on_with_its_next_page_and_tells_nothing_twice() {
    let (aws, cache) = lying().await;
    let store = shared(retrying(&cache));
    // One more than a page of S3.
    futures::stream::iter(0..1001)
        .for_each_concurrent(32, |n| {
            let store = Arc::clone(&store);
            async move { drop(store.put(&Path::from(format!("{n:04}")), "".into()).await.unwrap()) }
        })
        .await;
    let before = aws.s3().counts().rejected("ExpiredToken");
    let mut list = store.list(None);
    let mut names = vec![list.next().await.unwrap().unwrap().location];
    expire().await;
    names.extend(list.map_ok(|meta| meta.location).try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(names, (0..1001).map(|n| Path::from(format!("{n:04}"))).collect::<Vec<_>>());
    assert!(aws.s3().counts().rejected("ExpiredToken") > before);
}

/// Passes connections on to `server`, but of what the server sends on them takes `limit` bytes at the most, waits for a session
/// to end, and hangs up: once, for a limit that is set once.
async fn hanging_up(server: String, limit: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, limit) = (TcpStream::connect(&server).await.unwrap(), Arc::clone(&limit));
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
                        expire().await;
                        limit.store(usize::MAX, Ordering::Relaxed);
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
async fn a_download_that_breaks_off_after_the_end_of_its_session_goes_on_where_it_was() {
    let (aws, cache) = lying().await;
    let limit = Arc::new(AtomicUsize::new(usize::MAX));
    let endpoint = hanging_up(aws.s3().endpoint().replace("http://", ""), Arc::clone(&limit)).await;
    let store = cache
        .configure(AmazonS3Builder::new().with_bucket_name(BUCKET))
        .with_endpoint(endpoint)
        .with_http_connector(cache.retry_rejected(ReqwestConnector::default()))
        .build()
        .unwrap();
    let content: Vec<u8> = (0..4 << 20).map(|n: u32| (n % 251) as u8).collect();
    store.put(&Path::from("object"), content.clone().into()).await.unwrap();
    limit.store(1 << 20, Ordering::Relaxed);
    let read = store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap();
    assert!(read == content, "{} bytes", read.len());
    assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 1);
}

#[tokio::test]
async fn a_conditional_write_that_was_rejected_is_done_once() {
    let (_aws, cache) = lying().await;
    let store = retrying(&cache);
    let create = |text: &'static str| {
        let store = &store;
        async move { store.put_opts(&Path::from("object"), text.into(), PutMode::Create.into()).await }
    };
    store.put(&Path::from("other"), "".into()).await.unwrap();
    expire().await;
    create("one").await.unwrap();
    expire().await;
    assert!(matches!(create("two").await, Err(object_store::Error::AlreadyExists { .. })));
    assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "one");
}

#[tokio::test]
async fn a_hundred_requests_that_are_rejected_at_once_cost_one_fetch() {
    let (aws, cache) = lying().await;
    let store = shared(retrying(&cache));
    store.put(&Path::from("object"), "text".into()).await.unwrap();
    expire().await;
    let before = aws.issuer().counts().sessions;
    let reads = all(100, |_| {
        let store = Arc::clone(&store);
        Box::pin(async move { store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap() })
    });
    assert!(reads.await.iter().all(|read| read == "text"));
    assert_eq!(aws.issuer().counts().sessions, before + 1);
}

#[tokio::test]
async fn where_there_are_no_others_the_answer_of_s3_stands() {
    let aws = aws_with_sessions_of(LIFETIME).await;
    let session = aws.issuer().new_session();
    let token = session.session_token().map(ToOwned::to_owned);
    // Without an expiry, as keys that somebody has put into an environment.
    let fixed = Credentials::new(session.access_key_id(), session.secret_access_key(), token, None, "test");
    let config = assumed_role(&aws).await;
    let cache = AwsTokenCache::new(builder(SdkSource::new(fixed)).build(), &config);
    let store = retrying(&cache);
    round_trip(&store, "object").await.unwrap();
    expire().await;
    let error = store.get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("ExpiredToken") && is_credential_rejected(&error), "{error}");
    assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 1);
    // It is known from now on that the source has nothing better.
    assert_eq!(cache.get().await.unwrap_err().kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_not_repeated() {
    let (aws, cache) = lying().await;
    let good = cache.get().await.unwrap();
    let token = good.session_token().map(ToOwned::to_owned);
    let wrong = Credentials::new(good.access_key_id(), "another secret", token, None, "test");
    let config = assumed_role(&aws).await;
    let wrong = AwsTokenCache::new(builder(SdkSource::new(wrong)).build(), &config);
    let error = retrying(&wrong).get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("SignatureDoesNotMatch") && !is_credential_rejected(&error), "{error}");
    assert_eq!((aws.s3().counts().requests, wrong.cache().status().generation), (1, 1));
    assert!(wrong.cache().peek().is_some(), "kept");

    let anonymous = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_skip_signature(true);
    let anonymous = anonymous.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
    let error = anonymous.get(&Path::from("object")).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied") && !is_credential_rejected(&error), "{error}");
    assert_eq!(aws.s3().counts().requests, 2);
}

#[tokio::test]
async fn a_rejection_is_told_from_other_errors_in_every_version() {
    let (_aws, cache) = lying().await;
    let newest = store(&cache);
    let missing = newest.get(&Path::from("object")).await.unwrap_err();
    assert!(!is_credential_rejected(&missing), "{missing}");
    expire().await;

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
async fn older_versions_of_object_store_get_over_a_rejection_too() {
    let (aws, cache) = lying().await;
    {
        use object_store_0_13::client::ReqwestConnector;
        use object_store_0_13::{ObjectStoreExt as _, aws::AmazonS3Builder, path::Path};
        let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET));
        let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
        store.put(&Path::from("object"), "text".into()).await.unwrap();
        expire().await;
        assert_eq!(store.head(&Path::from("object")).await.unwrap().size, 4);
        expire().await;
        store.put(&Path::from("object"), "longer".into()).await.unwrap();
    }
    {
        use object_store_0_12::client::ReqwestConnector;
        use object_store_0_12::{ObjectStore as _, aws::AmazonS3Builder, path::Path};
        let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET));
        let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
        expire().await;
        assert_eq!(store.head(&Path::from("object")).await.unwrap().size, 6);
        expire().await;
        store.put(&Path::from("object"), "text".into()).await.unwrap();
        expire().await;
        assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "text");
    }
    assert_eq!(aws.s3().counts().rejected("ExpiredToken"), 2 + 1 + 2 + 1 + 1);
}

#[tokio::test]
async fn unsigned_payloads_are_signed_anew_as_they_were() {
    let (_aws, cache) = lying().await;
    let builder = cache.configure(AmazonS3Builder::new().with_bucket_name(BUCKET)).with_unsigned_payload(true);
    let store = builder.with_http_connector(cache.retry_rejected(ReqwestConnector::default())).build().unwrap();
    round_trip(&store, "object").await.unwrap();
    expire().await;
    store.put(&Path::from("object"), "text".into()).await.unwrap();
    assert_eq!(store.get(&Path::from("object")).await.unwrap().bytes().await.unwrap(), "text");
}

#[tokio::test]
async fn the_sdks_clients_share_the_cache_and_tell_a_rejection() {
    let (aws, cache) = lying().await;
    let sdk = cache.sdk_config().into_builder().endpoint_url(aws.issuer().sts_endpoint()).build();
    let sts = aws_sdk_sts::Client::new(&sdk);
    sts.get_caller_identity().send().await.unwrap();
    round_trip(&store(&cache), "object").await.unwrap();
    assert_eq!(aws.issuer().counts().sessions, 1);

    let held = cache.get().await.unwrap();
    let given = cache.provide_credentials().await.unwrap();
    assert_eq!((given.access_key_id(), given.expiry()), (held.access_key_id(), held.expiry()));

    expire().await;
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert!(is_credential_rejected(&error), "{error:?}");
    cache.cache().invalidate(&held);
    sts.get_caller_identity().send().await.expect("the client holds on to nothing");
}
