//! OAuth2, at oidc-provider.

use std::sync::Arc;

use oauth2::AccessToken;
use object_store::gcp::GcpCredential;
use token_cache_clouds::oauth2::{ClientCredentials, Refresh};
use token_cache_core::{ErrorKind, TokenCache};

use crate::gate::Gate;
use crate::provider::Requests;
use crate::{load, provider};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn objects_are_written_and_read_while_tokens_of_5_s_rotate() {
    let (gate, cache) = (Gate::start().await, of_client("gcs"));
    let first = cache.get().await.unwrap();
    let store = gate.store(Arc::new(cache.view(credential)));
    let (requests, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gate.refused(), 0);
    assert_eq!(provider::requests("gcs").await, Requests { succeeded: tokens, failed: 0 });
    assert!(!provider::is_active(first.secret()).await);
    println!("client credentials: {requests} requests, {} rotations, {tokens} token requests", tokens - 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fake-gcs-server: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn each_refresh_token_is_used_once_while_the_issuer_rotates_them() {
    let gate = Gate::start().await;
    let login = provider::login("rotated").await;
    let cache = TokenCache::builder(Refresh::new(provider::client("rotated"), login.clone())).build();
    let store = gate.store(Arc::new(cache.view(credential)));
    let (requests, tokens) = load::through_rotations(store, &cache).await;
    assert_eq!(gate.refused(), 0);
    assert_eq!(provider::requests("rotated").await, Requests { succeeded: tokens, failed: 0 });

    let stale = TokenCache::builder(Refresh::new(provider::client("rotated"), login)).build();
    let error = stale.get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    println!("refresh token: {requests} requests, {} rotations, {tokens} token requests", tokens - 1);
}

fn of_client(id: &str) -> TokenCache<AccessToken> {
    TokenCache::builder(ClientCredentials { client: provider::client(id), scopes: Vec::new() }).build()
}

fn credential(token: &AccessToken) -> GcpCredential {
    GcpCredential { bearer: token.secret().clone() }
}
