//! Google's tokens under `object_store::gcp`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use google_cloud_auth::credentials::mds;
use object_store::gcp::GcpCredential;
use object_store::path::Path;
use object_store::{ObjectStoreExt, StaticCredentialProvider};
use token_cache_clouds::google;
use token_cache_core::{SystemClock, TokenCache};
use token_cache_testing::VirtualClock;

use crate::gate::Gate;
use crate::metadata::Metadata;
use crate::provider::Requests;
use crate::{ROTATIONS, SECOND, load, provider};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn objects_are_written_and_read_while_tokens_of_the_metadata_server_rotate() {
    let (gate, metadata) = (Gate::start().await, minting("metadata", 2 * SECOND).await);
    let cache = TokenCache::builder(google::metadata(metadata.url()).unwrap()).expiry_buffer(google::BUFFER).build();
    let first = cache.get().await.unwrap();

    let store = gate.store(Arc::new(cache.clone()));
    let requests = load::until(store, || async { provider::requests("metadata").await.succeeded > ROTATIONS }).await;
    load::settled(&cache).await;
    let Requests { succeeded: tokens, failed } = provider::requests("metadata").await;
    assert_eq!((gate.refused(), failed), (0, 0));
    // With 10, 5, 2.5 and 1.25 s left, and no more than once a second.
    assert!(metadata.asked() <= 5 * tokens, "{} for {tokens} tokens", metadata.asked());

    expired_is_refused(&gate, &first).await;
    println!(
        "metadata server: {requests} requests, {} rotations, {tokens} token requests, asked {} times",
        tokens - 1,
        metadata.asked()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn objects_are_written_and_read_while_google_cloud_auth_rotates_its_tokens() {
    // It asks every 10 s for tokens this short.
    let (gate, metadata) = (Gate::start().await, minting("google", 6 * SECOND).await);
    let credentials = mds::Builder::default().with_endpoint(metadata.url()).build_access_token_credentials().unwrap();
    let cache = TokenCache::builder(google::credentials(credentials, 2 * SECOND)).build();
    let first = cache.get().await.unwrap();

    let store = gate.store(Arc::new(cache.clone()));
    let requests = load::until(store, || async { provider::requests("google").await.succeeded > ROTATIONS }).await;
    let Requests { succeeded: tokens, failed } = provider::requests("google").await;
    assert_eq!((gate.refused(), failed), (0, 0));
    assert_eq!(metadata.asked(), tokens, "looking at what google-cloud-auth has costs no request");

    expired_is_refused(&gate, &first).await;
    println!(
        "google-cloud-auth: {requests} requests, {} rotations, {tokens} token requests, looked at {} times",
        tokens - 1,
        cache.status().generation
    );
}

/// At full size: tokens of an hour, which the server renews four minutes before their end in one place and five in another.
#[tokio::test]
async fn the_metadata_server_is_asked_once_a_token_and_at_the_most_once_more() {
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
        let source = google::metadata(metadata.url()).unwrap();
        let cache = TokenCache::builder(source).expiry_buffer(google::BUFFER).clock(clock.clone()).build();
        while minted.load(Ordering::Relaxed) < 24 {
            cache.get().await.unwrap();
            load::settled(&cache).await;
            clock.advance(5 * SECOND);
        }
        assert!((24..=most).contains(&metadata.asked()), "asked {} times", metadata.asked());
    }
}

/// A metadata server whose tokens the provider has issued.
async fn minting(client: &'static str, renewal: Duration) -> Metadata {
    Metadata::start(SystemClock::new(), renewal, move || provider::mint(client)).await
}

async fn expired_is_refused(gate: &Gate, token: &GcpCredential) {
    let store = gate.store(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: token.bearer.clone() })));
    let refused = store.get(&Path::from("any")).await.unwrap_err();
    assert!(matches!(refused, object_store::Error::Unauthenticated { .. }), "{refused}");
    assert_eq!(gate.refused(), 1);
}
