//! `ProvideCredential` of reqsign-core.

use reqsign_core::{Context, Error, ErrorKind as Kind, ProvideCredential, Result};

use crate::cache::TokenCache;
use crate::error::ErrorKind;
use crate::view::View;

/// Returns a copy of the token, as reqsign requires. The source of the error is the [`Error`](crate::Error) of the cache.
///
/// A `Signer` keeps that copy until the copy itself reports that it is about to expire, so the credential type must know its
/// expiry. If a store rejects a credential before that, the signer does not notice that it is invalidated in the cache.
impl<T: Clone + Send + Sync + Unpin + 'static> ProvideCredential for TokenCache<T> {
    type Credential = T;

    async fn provide_credential(&self, _: &Context) -> Result<Option<T>> {
        self.get().await.map(|token| Some(T::clone(&token))).map_err(error)
    }
}

/// As for [`TokenCache`].
impl<T, U> ProvideCredential for View<T, U>
where
    T: Send + Sync + 'static,
    U: Clone + Send + Sync + Unpin + 'static,
{
    type Credential = U;

    async fn provide_credential(&self, _: &Context) -> Result<Option<U>> {
        self.get().await.map(|token| Some(U::clone(&token))).map_err(error)
    }
}

fn error(error: crate::Error) -> Error {
    let permanent = error.kind() == ErrorKind::Permanent;
    let kind = if permanent { Kind::CredentialInvalid } else { Kind::Unexpected };
    Error::new(kind, error.to_string()).set_retryable(!permanent).with_source(error)
}
