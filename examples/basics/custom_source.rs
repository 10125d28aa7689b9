//! A source as a type, which says what its errors mean.

use std::time::Duration;

use token_cache_core::{BoxError, TemporaryToken, TokenCache, TokenSource, async_trait, permanent, retry_after};

struct Issuer {
    status: u16,
}

#[async_trait]
impl TokenSource for Issuer {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        match self.status {
            200 => Ok(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600))),
            // Retrying cannot help: somebody has to correct the configuration.
            401 => Err(permanent("the client secret is wrong")),
            // The issuer asked to be left alone for a minute.
            429 => Err(retry_after("too many requests", Duration::from_secs(60))),
            status => Err(format!("status {status}").into()),
        }
    }
}

#[tokio::main]
async fn main() {
    for status in [200, 401, 429, 503] {
        match TokenCache::builder(Issuer { status }).build().get().await {
            Ok(token) => println!("{status}: {token}"),
            Err(error) => println!("{status}: {:?}: {error}", error.kind()),
        }
    }
}
