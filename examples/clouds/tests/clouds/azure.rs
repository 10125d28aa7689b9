//! Azure: azure_identity fetches tokens from oidc-provider in Entra ID's protocol, and azurite checks them.

use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::Secret;
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use object_store::azure::{AzureCredential, AzureCredentialProvider, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::path::Path;
use object_store::{Certificate, ObjectStoreExt, RetryConfig, StaticCredentialProvider};
use token_cache_azure::{AccessToken, AzureSource};
use token_cache_core::ErrorKind;
use token_cache_test_support::wait_until;

use crate::provider::Requests;
use crate::{load, provider, setting};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs azurite: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn no_request_fails_while_tokens_rotate() {
    let cache = AzureSource::new(credential("azure", &provider::secret("azure"))).cache().build();
    let first = cache.get().await.unwrap();
    create_container(&first).await;

    let (operations, tokens) =
        load::through_rotations(store(Arc::new(cache.view(AccessToken::to::<AzureCredential>))), &cache).await;
    assert_eq!(provider::requests("azure").await, Requests { succeeded: tokens, failed: 0 });

    let expired = AzureCredential::from(&*first);
    let store = store(Arc::new(StaticCredentialProvider::new(expired)));
    let is_rejected = async || {
        let error = store.get(&Path::from("no-such-blob")).await.unwrap_err();
        error.to_string().contains("The token is expired")
    };
    wait_until("azurite to reject the first token", is_rejected).await;
    println!("azurite: {operations} operations, {} rotations, {tokens} token requests", tokens - 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs oidc-provider: examples/clouds/tests/servers cargo test -p token-cache-clouds -- --include-ignored"]
async fn a_wrong_secret_is_a_permanent_error() {
    let error = AzureSource::new(credential("unknown", "hunter2")).cache().build().get().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

fn credential(id: &str, secret: &str) -> Arc<ClientSecretCredential> {
    let mut entra = CustomConfiguration::default();
    entra.authority_host = setting("TOKEN_CACHE_OIDC_TLS");
    let client_options = ClientOptions {
        cloud: Some(Arc::new(CloudConfiguration::Custom(entra))),
        transport: Some(Transport::new(Arc::new(http()))),
        ..ClientOptions::default()
    };
    let options = ClientSecretCredentialOptions { client_options };
    ClientSecretCredential::new("tenant", id.to_owned(), Secret::new(secret.to_owned()), Some(options)).unwrap()
}

fn store(credentials: AzureCredentialProvider) -> MicrosoftAzure {
    let certificate = Certificate::from_pem(&certificate()).unwrap();
    MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_container_name(CONTAINER)
        .with_endpoint(format!("{}/{ACCOUNT}", setting("TOKEN_CACHE_AZURITE")))
        .with_credentials(credentials)
        .with_client_options(object_store::ClientOptions::new().with_root_certificate(certificate))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap()
}

async fn create_container(token: &AccessToken) {
    let url = format!("{}/{ACCOUNT}/{CONTAINER}?restype=container", setting("TOKEN_CACHE_AZURITE"));
    let request = http().put(url).header("x-ms-version", "2023-11-03").header("content-length", "0");
    request.bearer_auth(token.secret()).send().await.unwrap().error_for_status().unwrap();
}

fn http() -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(&certificate()).unwrap();
    reqwest::Client::builder().tls_certs_merge([certificate]).build().unwrap()
}

fn certificate() -> Vec<u8> {
    std::fs::read(setting("TOKEN_CACHE_CERTIFICATE")).unwrap()
}

/// The predefined account of azurite.
const ACCOUNT: &str = "devstoreaccount1";
const CONTAINER: &str = "container";
