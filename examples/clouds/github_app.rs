//! A source of your own: installation tokens of a GitHub App, with one cache for each installation.
//!
//! The app signs a JWT with its private key, and exchanges it for a token of one installation, which is valid for an hour:
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation>.
//!
//! `cargo run -p token-cache-clouds --example github_app` runs it against a server on loopback that checks the JWT.

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use token_cache_core::{
    BoxError, Clock, SystemClock, TemporaryToken, TokenCache, TokenSource, async_trait, permanent, retry_after,
};
use token_cache_oauth2::AccessToken;

/// The installation of an app.
struct Installation {
    http: reqwest::Client,
    api: String,
    app: String,
    key: EncodingKey,
    id: u64,
}

#[async_trait]
impl TokenSource for Installation {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        let now = SystemClock::new().now().wall().duration_since(UNIX_EPOCH)?.as_secs();
        // GitHub recommends a start in the past, because clocks differ, and allows 10 minutes.
        let claims = serde_json::json!({ "iss": self.app, "iat": now - 60, "exp": now + 9 * 60 });
        let jwt = encode(&Header::new(Algorithm::RS256), &claims, &self.key).map_err(permanent)?;
        let url = format!("{}/app/installations/{}/access_tokens", self.api, self.id);
        let request = self.http.post(url).bearer_auth(jwt).header("user-agent", "token-cache-example");
        let response = request.send().await?;
        let delay = retry_delay(response.headers());
        match response.error_for_status_ref() {
            Ok(_) => {
                let InstallationToken { token, expires_at } = response.json().await?;
                Ok(TemporaryToken::new(AccessToken::new(token), humantime::parse_rfc3339(&expires_at)?))
            }
            // The app, its key or the installation does not exist. Rate limits have the status 403 or 429.
            Err(error) if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => {
                Err(permanent(error))
            }
            Err(error) => Err(match delay {
                Some(delay) => retry_after(error, delay),
                None => error.into(),
            }),
        }
    }
}

fn retry_delay(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

#[derive(Deserialize)]
struct InstallationToken {
    token: String,
    expires_at: String,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = github::start().await?;
    for id in [1, 2] {
        let (http, key) = (reqwest::Client::new(), EncodingKey::from_rsa_pem(server.private_key.as_bytes())?);
        let source = Installation { http, api: server.url.clone(), app: "app".to_owned(), key, id };
        let cache = TokenCache::builder(source).name(format!("installation {id}")).build();
        for _ in 0..3 {
            assert_eq!(cache.get().await?.secret(), format!("ghs_{id}"));
        }
        println!("installation {id}: 3 reads, {} token request", cache.status().generation);
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn each_installation_gets_its_token() {
    main().unwrap();
}

/// The part of GitHub that the example needs.
mod github {
    use std::convert::Infallible;

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use http::{Request, Response, StatusCode};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use pem::Pem;
    use token_cache_core::BoxError;
    use tokio::net::TcpListener;

    pub(super) struct GitHub {
        pub(super) url: String,
        pub(super) private_key: String,
    }

    pub(super) async fn start() -> Result<GitHub, BoxError> {
        let key = KeyPair::generate(KeySize::Rsa2048)?;
        let private_key = pem::encode(&Pem::new("PRIVATE KEY", key.as_der()?.as_ref()));
        let public_key = DecodingKey::from_rsa_der(key.public_key().as_ref());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let public_key = public_key.clone();
                let service = service_fn(move |request| {
                    let response = answer(&request, &public_key);
                    async { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(GitHub { url, private_key })
    }

    fn answer<B>(request: &Request<B>, public_key: &DecodingKey) -> Response<String> {
        let header = request.headers().get("authorization").and_then(|header| header.to_str().ok());
        let jwt = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
        let valid = decode::<serde_json::Value>(jwt, public_key, &Validation::new(Algorithm::RS256));
        let mut response = Response::new(String::new());
        let id = request.uri().path().split('/').nth(3).unwrap_or_default();
        if valid.is_ok_and(|jwt| jwt.claims["iss"] == "app") {
            *response.status_mut() = StatusCode::CREATED;
            *response.body_mut() = format!(r#"{{"token":"ghs_{id}","expires_at":"2099-01-01T00:00:00Z"}}"#);
        } else {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        response
    }
}
