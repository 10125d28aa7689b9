//! No output of `Debug` or `Display` contains a token, a secret or a refresh token.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use http::StatusCode;
use oauth2::basic::BasicClient;
use oauth2::{ClientId, ClientSecret, RefreshToken, TokenUrl};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use token_cache_clouds::oauth2::{Client, ClientCredentials, Refresh};
use token_cache_clouds::{azure, google};
use token_cache_core::{Error, ErrorKind, TokenCache, TokenSource, async_trait};

use crate::provider;
use crate::serve::{self, Server};

const SECRET: &str = "hunter2";

/// Responses of an issuer. Malformed ones contain a token too.
const RESPONSES: [(StatusCode, &str, Option<ErrorKind>); 7] = [
    (
        StatusCode::OK,
        r#"{"access_token":"hunter2","token_type":"bearer","expires_in":60,"refresh_token":"hunter2"}"#,
        None,
    ),
    (StatusCode::OK, r#"{"access_token":"hunter2","token_type":"bearer"}"#, None),
    (StatusCode::OK, r#"{"access_token":"hunter2","expires_in":60}"#, Some(ErrorKind::Source)),
    (StatusCode::OK, r#"{"access_token":"hunter2""#, Some(ErrorKind::Source)),
    (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#, Some(ErrorKind::Permanent)),
    (StatusCode::BAD_REQUEST, r#"{"error":"temporarily_unavailable"}"#, Some(ErrorKind::Source)),
    (StatusCode::INTERNAL_SERVER_ERROR, "hunter2", Some(ErrorKind::Source)),
];

#[tokio::test]
async fn oauth2_prints_no_secret_and_refusals_are_permanent() {
    for (status, body, expected) in RESPONSES {
        let issuer = Server::start(move |_| async move { serve::json(status, body) }).await;
        let source = ClientCredentials { client: client(&issuer), http: provider::http(), scopes: Vec::new() };
        assert_no_secret(&source);
        check(source, expected).await;
        let source = Refresh::new(client(&issuer), provider::http(), RefreshToken::new(SECRET.to_owned()));
        assert_no_secret(&source);
        check(source, expected).await;
    }
}

#[tokio::test]
async fn google_prints_no_token() {
    for (status, body, expected) in [
        (StatusCode::OK, r#"{"access_token":"hunter2","expires_in":60}"#, None),
        (StatusCode::OK, r#"{"access_token":"hunter2"}"#, Some(ErrorKind::Source)),
        (StatusCode::OK, r#"{"access_token":"hunter2""#, Some(ErrorKind::Source)),
        (StatusCode::NOT_FOUND, "hunter2", Some(ErrorKind::Source)),
    ] {
        let server = Server::start(move |_| async move { serve::json(status, body) }).await;
        let cache = check(google::metadata(&server.url).unwrap(), expected).await;
        let store = GoogleCloudStorageBuilder::new().with_bucket_name("bucket").with_credentials(Arc::new(cache));
        assert_no_secret(&store);
        assert_no_secret(&store.build().unwrap());
    }
}

#[tokio::test]
async fn azure_prints_no_token() {
    let cache = check(azure::source(Arc::new(Fixed)), None).await;
    let store = MicrosoftAzureBuilder::new().with_account("account").with_container_name("container");
    let store = store.with_credentials(Arc::new(cache));
    assert_no_secret(&store);
    assert_no_secret(&store.build().unwrap());
}

/// Fetches, and checks everything that can be printed afterwards.
async fn check<T: Send + Sync + 'static>(
    source: impl TokenSource<Token = T>,
    expected: Option<ErrorKind>,
) -> TokenCache<T> {
    let cache = TokenCache::builder(source).build();
    let fetched = cache.get().await;
    if let Err(error) = &fetched {
        assert_no_secret(error);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    assert_eq!(fetched.err().as_ref().map(Error::kind), expected);
    assert_no_secret(&cache);
    assert_no_secret(&cache.status());
    cache
}

fn assert_no_secret(value: &impl Debug) {
    let text = format!("{value:?} {value:#?}");
    assert!(!text.contains(SECRET), "{text}");
}

fn client(issuer: &Server) -> Client {
    BasicClient::new(ClientId::new("client".to_owned()))
        .set_client_secret(ClientSecret::new(SECRET.to_owned()))
        .set_token_uri(TokenUrl::new(format!("{}/token", issuer.url)).unwrap())
}

#[derive(Debug)]
struct Fixed;

#[async_trait]
impl TokenCredential for Fixed {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(60);
        Ok(AccessToken { token: Secret::new(SECRET), expires_on })
    }
}
