//! A cache or a view as the credential provider of reqsign.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::error::Error as _;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join;
use reqsign_core::{Context, Error, ErrorKind, ProvideCredential, SignRequest, Signer, SigningCredential};
use token_cache_core::test_util;

type Harness = test_util::Harness<&'static str>;

const HOUR: Duration = Duration::from_secs(3600);

/// reqsign keeps a copy of the credential, and asks again when that is not valid any more.
#[tokio::test]
async fn a_signer_uses_the_token_of_the_cache() {
    let mut harness = Harness::new();
    let signer = Signer::new(Context::new(), harness.cache.view(|token| Key(token)), KeySigner);
    for token in ["one", "two"] {
        let answer = async { harness.source.next_fetch().await.succeed_for(token, HOUR) };
        assert_eq!(join(sign(&signer), answer).await.0.unwrap(), token);
        assert_eq!(sign(&signer).now_or_never().unwrap().unwrap(), token);
        harness.clock.advance(HOUR);
    }
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn an_error_says_whether_to_retry() {
    let mut harness = Harness::new();
    let fail = async { harness.source.next_fetch().await.fail("down") };
    let error = join(harness.cache.provide_credential(&Context::new()), fail).await.0.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("down"), "{error}");
    assert_eq!(cause(&error).kind(), token_cache_core::ErrorKind::Source);

    let mut harness = Harness::new();
    let view = harness.cache.view(|token| Key(token));
    let fail = async { harness.source.next_fetch().await.fail_permanently("the account is closed") };
    let error = join(view.provide_credential(&Context::new()), fail).await.0.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("the account is closed"), "{error}");
    assert_eq!(error.kind(), ErrorKind::CredentialInvalid);
    assert_eq!(cause(&error).kind(), token_cache_core::ErrorKind::Permanent);
}

fn cause(error: &Error) -> &token_cache_core::Error {
    error.source().unwrap().downcast_ref().expect("the error of the cache")
}

/// The key with which `signer` signs a request.
async fn sign(signer: &Signer<Key>) -> reqsign_core::Result<String> {
    let mut request = http::Request::new(()).into_parts().0;
    signer.sign(&mut request, None).await?;
    Ok(request.headers["key"].to_str().unwrap().to_owned())
}

/// A credential that is never valid, so that the signer always asks its provider.
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

/// Puts the key into a header.
#[derive(Debug)]
struct KeySigner;

impl SignRequest for KeySigner {
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
