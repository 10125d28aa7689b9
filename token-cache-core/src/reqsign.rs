//! The reqsign side.

use reqsign_core::{Context, Error, ErrorKind as Kind, ProvideCredential, Result};

use crate::cache::TokenCache;
use crate::error::ErrorKind;
use crate::view::View;

/// It gives out a copy, as reqsign asks for it. The source of its error is the cache's own [`Error`](crate::Error).
///
/// A `Signer` keeps that copy, and asks again only once the copy itself says that its end is near. So let it say when that
/// is; where a store rejects a credential before that, invalidating it in the cache is not heard by the signer.
impl<T: Clone + Send + Sync + Unpin + 'static> ProvideCredential for TokenCache<T> {
    type Credential = T;

    async fn provide_credential(&self, _: &Context) -> Result<Option<T>> {
        self.get().await.map(|token| Some(T::clone(&token))).map_err(error)
    }
}

/// As that of [`TokenCache`].
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
    let for_good = error.kind() == ErrorKind::Permanent;
    let kind = if for_good { Kind::CredentialInvalid } else { Kind::Unexpected };
    Error::new(kind, error.to_string()).set_retryable(!for_good).with_source(error)
}
