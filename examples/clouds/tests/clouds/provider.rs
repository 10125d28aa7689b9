//! oidc-provider, configured by `provider.mjs`.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use token_cache_core::TokenSource;
use token_cache_oauth2::{AccessToken, Client, ClientCredentials, TokenRequest};

use crate::setting;

/// A client of the list in `provider.mjs`.
pub(crate) fn client(id: &str) -> Client {
    Client::new(&format!("{}/tenant/oauth2/v2.0/token", url()), id).unwrap().secret(secret(id))
}

pub(crate) fn secret(id: &str) -> String {
    format!("secret-of-{id}")
}

/// A new token for this client, and its lifetime.
pub(crate) async fn mint(id: &str) -> (String, Duration) {
    let token = ClientCredentials::new(client(id), TokenRequest::default()).fetch().await.unwrap();
    let lifetime = token.expires_at(UNIX_EPOCH).unwrap().duration_since(UNIX_EPOCH).unwrap();
    (token.value().secret().to_owned(), lifetime)
}

/// The number of token requests of this client that the provider has counted.
pub(crate) async fn requests(id: &str) -> Requests {
    let all: Value = reqwest::get(format!("{}/requests", url())).await.unwrap().json().await.unwrap();
    let count = |outcome| all[id][outcome].as_u64().unwrap_or_default();
    Requests { succeeded: count("succeeded"), failed: count("failed") }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// Whether the provider considers this token valid.
pub(crate) async fn is_active(http: &reqwest::Client, token: &str) -> bool {
    let response: Value = post(http, "introspection", "proxy", token).await.json().await.unwrap();
    response["active"].as_bool().unwrap()
}

/// Revokes a token before it expires.
pub(crate) async fn revoke(id: &str, token: &AccessToken) {
    post(&reqwest::Client::new(), "revocation", id, token.secret()).await;
}

/// The refresh token of a user who has authorized this client.
pub(crate) async fn login(id: &str) -> String {
    let response = reqwest::get(format!("{}/login?client={id}", url())).await.unwrap();
    let response: Value = response.error_for_status().unwrap().json().await.unwrap();
    response["refresh_token"].as_str().unwrap().to_owned()
}

async fn post(http: &reqwest::Client, endpoint: &str, id: &str, token: &str) -> reqwest::Response {
    let request = http.post(format!("{}/token/{endpoint}", url()));
    let response = request.basic_auth(id, Some(secret(id))).form(&[("token", token)]).send().await.unwrap();
    response.error_for_status().unwrap()
}

fn url() -> String {
    setting("TOKEN_CACHE_OIDC")
}
