//! A cache, or a view of one, under a signer of reqsign.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as _;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use reqsign_core::{Context, Error, ErrorKind, ProvideCredential, SignRequest, Signer, SigningCredential};
use token_cache_core::{TemporaryToken, TokenCache};
use token_cache_testing::{SourceHandle, VirtualClock, mock_source};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_signer_signs_with_what_the_cache_holds_when_its_own_copy_is_near_its_end() {
    let (cache, mut source, clock) = bench();
    let signer = Signer::new(Context::new(), cache.view(|token| Key(token)), Mark);
    for token in ["one", "two"] {
        let answer = async { source.next_fetch().await.succeed(TemporaryToken::new(token, clock.after(HOUR))) };
        assert_eq!(join(signed(&signer), answer).await.0.unwrap(), token);
        assert_eq!(signed(&signer).now_or_never().unwrap().unwrap(), token);
        clock.advance(HOUR);
    }
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn an_error_is_the_caches_and_says_whether_to_ask_again() {
    let (cache, mut source, _) = bench();
    let failed =
        join(cache.provide_credential(&Context::new()), async { source.next_fetch().await.fail("down") }).await.0;
    let error = failed.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("down"), "{error}");
    assert_eq!(cause(&error).kind(), token_cache_core::ErrorKind::Source);

    let (cache, mut source, _) = bench();
    let fail = async { source.next_fetch().await.fail_permanently("the account is closed") };
    let failed = join(cache.view(|token| Key(token)).provide_credential(&Context::new()), fail).await.0;
    let error = failed.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("the account is closed"), "{error}");
    assert_eq!(error.kind(), ErrorKind::CredentialInvalid);
    assert_eq!(cause(&error).kind(), token_cache_core::ErrorKind::Permanent);
}

fn cause(error: &Error) -> &token_cache_core::Error {
    error.source().unwrap().downcast_ref().expect("the cache's own error")
}

fn bench() -> (TokenCache<&'static str>, SourceHandle<&'static str>, VirtualClock) {
    let (clock, (mock, source)) = (VirtualClock::new(), mock_source());
    (TokenCache::builder(mock).clock(clock.clone()).build(), source, clock)
}

/// What `signer` marks a request with.
async fn signed(signer: &Signer<Key>) -> reqsign_core::Result<String> {
    let mut request = http::Request::new(()).into_parts().0;
    signer.sign(&mut request, None).await?;
    Ok(request.headers["key"].to_str().unwrap().to_owned())
}

/// A credential that always says that its end is near.
#[derive(Clone, Debug)]
struct Key(&'static str);

impl SigningCredential for Key {
    fn is_valid(&self) -> bool {
        false
    }

    fn is_valid_at(&self, _: reqsign_core::time::Timestamp) -> bool {
        true
    }
}

#[derive(Debug)]
struct Mark;

impl SignRequest for Mark {
    type Credential = Key;

    async fn sign_request(
        &self,
        _: &Context,
        request: &mut http::request::Parts,
        key: Option<&Key>,
        _: Option<Duration>,
    ) -> reqsign_core::Result<()> {
        request.headers.insert("key", key.unwrap().0.parse().unwrap());
        Ok(())
    }
}
