//! oidc-provider, as `provider.mjs` sets it up.

use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{AccessToken, ClientId, ClientSecret, RefreshToken, TokenResponse, TokenUrl};
use serde_json::Value;
use token_cache_clouds::oauth2::Client;

use crate::setting;

/// One of the clients that `provider.mjs` lists.
pub(crate) fn client(id: &str) -> Client {
    BasicClient::new(ClientId::new(id.to_owned()))
        .set_client_secret(ClientSecret::new(secret(id)))
        .set_token_uri(TokenUrl::new(format!("{}/tenant/oauth2/v2.0/token", url())).unwrap())
}

pub(crate) fn secret(id: &str) -> String {
    format!("secret-of-{id}")
}

pub(crate) fn http() -> oauth2::reqwest::Client {
    oauth2::reqwest::Client::builder().redirect(oauth2::reqwest::redirect::Policy::none()).build().unwrap()
}

/// A token of this client, and its lifetime.
pub(crate) async fn mint(id: &str) -> (String, Duration) {
    let answer = client(id).exchange_client_credentials().request_async(&http()).await.unwrap();
    (answer.access_token().secret().clone(), answer.expires_in().unwrap())
}

/// How often this client has asked for a token, by the provider's own count.
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

/// Whether the provider would still stand for this token.
pub(crate) async fn is_active(http: &reqwest::Client, token: &str) -> bool {
    let answer: Value = ask(http, "introspection", "gate", token).await.json().await.unwrap();
    answer["active"].as_bool().unwrap()
}

/// Takes a token back before its time.
pub(crate) async fn revoke(id: &str, token: &AccessToken) {
    ask(&reqwest::Client::new(), "revocation", id, token.secret()).await;
}

/// The refresh token of a user who has let this client in.
pub(crate) async fn login(id: &str) -> RefreshToken {
    let answer = reqwest::get(format!("{}/login?client={id}", url())).await.unwrap();
    let answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
    RefreshToken::new(answer["refresh_token"].as_str().unwrap().to_owned())
}

async fn ask(http: &reqwest::Client, what: &str, id: &str, token: &str) -> reqwest::Response {
    let request = http.post(format!("{}/token/{what}", url()));
    let answer = request.basic_auth(id, Some(secret(id))).form(&[("token", token)]).send().await.unwrap();
    answer.error_for_status().unwrap()
}

fn url() -> String {
    setting("TOKEN_CACHE_OIDC")
}
