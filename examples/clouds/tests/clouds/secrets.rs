//! Nothing that can be printed holds a token, a secret or a refresh token.

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

/// Answers of an issuer: those that are none still hold a token.
const ANSWERS: [(StatusCode, &str, Option<ErrorKind>); 7] = [
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
async fn nothing_of_oauth2_prints_a_token_or_a_secret_and_what_the_issuer_refuses_is_permanent() {
    for (status, body, expected) in ANSWERS {
        let issuer = Server::start(move |_| async move { serve::json(status, body) }).await;
        let source = ClientCredentials { client: client(&issuer), http: provider::http(), scopes: Vec::new() };
        hides(&source);
        check(source, expected).await;
        let source = Refresh::new(client(&issuer), provider::http(), RefreshToken::new(SECRET.to_owned()));
        hides(&source);
        check(source, expected).await;
    }
}

#[tokio::test]
async fn nothing_of_google_prints_a_token() {
    for (status, body, expected) in [
        (StatusCode::OK, r#"{"access_token":"hunter2","expires_in":60}"#, None),
        (StatusCode::OK, r#"{"access_token":"hunter2"}"#, Some(ErrorKind::Source)),
        (StatusCode::OK, r#"{"access_token":"hunter2""#, Some(ErrorKind::Source)),
        (StatusCode::NOT_FOUND, "hunter2", Some(ErrorKind::Source)),
    ] {
        let server = Server::start(move |_| async move { serve::json(status, body) }).await;
        let cache = check(google::metadata(&server.url).unwrap(), expected).await;
        let store = GoogleCloudStorageBuilder::new().with_bucket_name("bucket").with_credentials(Arc::new(cache));
        hides(&store);
        hides(&store.build().unwrap());
    }
}

#[tokio::test]
async fn nothing_of_azure_prints_a_token() {
    let cache = check(azure::source(Arc::new(Fixed)), None).await;
    let store = MicrosoftAzureBuilder::new().with_account("account").with_container_name("container");
    let store = store.with_credentials(Arc::new(cache));
    hides(&store);
    hides(&store.build().unwrap());
}

/// Fetches, and looks at all that can be printed then.
async fn check<T: Send + Sync + 'static>(
    source: impl TokenSource<Token = T>,
    expected: Option<ErrorKind>,
) -> TokenCache<T> {
    let cache = TokenCache::builder(source).build();
    let fetched = cache.get().await;
    if let Err(error) = &fetched {
        hides(error);
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    assert_eq!(fetched.err().as_ref().map(Error::kind), expected);
    hides(&cache);
    hides(&cache.status());
    cache
}

fn hides(value: &impl Debug) {
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
