//! Google's tokens with `object_store::gcp`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use google_cloud_auth::credentials::mds;
use object_store::gcp::GcpCredential;
use object_store::path::Path;
use object_store::{ObjectStoreExt, StaticCredentialProvider};
use token_cache_core::{SystemClock, TokenCache};
use token_cache_gcp::{AccessToken, MetadataServer, google_cloud_auth_every};
use token_cache_test_support::wait_until;
use token_cache_testing::VirtualClock;

use crate::gcs::GcsProxy;
use crate::metadata::Metadata;
use crate::provider::Requests;
use crate::{ROTATIONS, SECOND, load, provider};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_request_fails_while_metadata_tokens_rotate() {
    let (gcs, metadata) = (GcsProxy::start().await, minting("metadata", 2 * SECOND).await);
    let cache = MetadataServer::at(metadata.url()).unwrap().cache().build();
    let first = cache.get().await.unwrap();

    let store = gcs.store(Arc::new(cache.view(AccessToken::to::<GcpCredential>)));
    let rotated = wait_until("rotations", async || provider::requests("metadata").await.succeeded > ROTATIONS);
    let operations = load::until(store, rotated).await;
    load::wait_for_fetch(&cache).await;
    let Requests { succeeded: tokens, failed } = provider::requests("metadata").await;
    assert_eq!((gcs.rejected(), failed), (0, 0));
    // With 10, 5, 2.5 and 1.25 s remaining, and at most once per second.
    assert!(metadata.requests() <= 5 * tokens, "{} for {tokens} tokens", metadata.requests());

    assert_expired(&gcs, &first).await;
    println!(
        "metadata server: {operations} operations, {} rotations, {tokens} token requests, {} metadata requests",
        tokens - 1,
        metadata.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_request_fails_while_google_cloud_auth_rotates() {
    // google-cloud-auth requests tokens this short every 10 s.
    let (gcs, metadata) = (GcsProxy::start().await, minting("google", 6 * SECOND).await);
    let credentials = mds::Builder::default().with_endpoint(metadata.url()).build_access_token_credentials().unwrap();
    let cache = TokenCache::builder(google_cloud_auth_every(2 * SECOND, credentials)).build();
    let first = cache.get().await.unwrap();

    let store = gcs.store(Arc::new(cache.view(AccessToken::to::<GcpCredential>)));
    let rotated = wait_until("rotations", async || provider::requests("google").await.succeeded > ROTATIONS);
    let operations = load::until(store, rotated).await;
    let Requests { succeeded: tokens, failed } = provider::requests("google").await;
    assert_eq!((gcs.rejected(), failed), (0, 0));
    assert_eq!(metadata.requests(), tokens, "reading the cached token of google-cloud-auth makes no request");

    assert_expired(&gcs, &first).await;
    println!(
        "google-cloud-auth: {operations} operations, {} rotations, {tokens} token requests, read {} times",
        tokens - 1,
        cache.status().generation
    );
}

/// Tokens of one hour, on a virtual clock. Depending on the environment, the server renews them with four or five minutes
/// remaining.
#[tokio::test]
async fn at_most_two_metadata_requests_per_token() {
    for (minutes, most) in [(5, 24), (4, 48)] {
        let (clock, minted) = (VirtualClock::new(), Arc::<AtomicU64>::default());
        let metadata = Metadata::start(clock.clone(), Duration::from_secs(minutes * 60), {
            let minted = Arc::clone(&minted);
            move || {
                let token = minted.fetch_add(1, Ordering::Relaxed).to_string();
                async { (token, Duration::from_secs(3600)) }
            }
        })
        .await;
        let cache = MetadataServer::at(metadata.url()).unwrap().cache().clock(clock.clone()).build();
        while minted.load(Ordering::Relaxed) < 24 {
            cache.get().await.unwrap();
            load::wait_for_fetch(&cache).await;
            clock.advance(5 * SECOND);
        }
        // One more for the first token, which is refreshed at a random point: the server returns the same one.
        assert!((24..=most + 1).contains(&metadata.requests()), "{} requests", metadata.requests());
    }
}

/// A metadata server whose tokens come from oidc-provider.
async fn minting(client: &'static str, renewal: Duration) -> Metadata {
    Metadata::start(SystemClock::new(), renewal, move || provider::mint(client)).await
}

async fn assert_expired(gcs: &GcsProxy, token: &AccessToken) {
    let store = gcs.store(Arc::new(StaticCredentialProvider::new(GcpCredential::from(token))));
    let http = reqwest::Client::new();
    wait_until("the expiry", async || !provider::is_active(&http, token.secret()).await).await;
    let rejected = store.get(&Path::from("any")).await.unwrap_err();
    assert!(matches!(rejected, object_store::Error::Unauthenticated { .. }), "{rejected}");
    assert_eq!(gcs.rejected(), 1);
}
