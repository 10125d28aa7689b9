//! `CredentialProvider` of each supported version of object_store.

use std::future::poll_fn;
use std::task::Poll;

use futures::future::BoxFuture;

macro_rules! provider {
    ($feature:literal, $object_store:ident) => {
        #[cfg(feature = $feature)]
        const _: () = {
            use std::sync::Arc;

            use ::$object_store::{CredentialProvider, Error, Result};
            use futures::future::BoxFuture;

            use crate::object_store::hit_or;
            use crate::{TokenCache, View};

            /// The source of the error is the [`Error`](crate::Error) of the cache.
            impl<T: Send + Sync + 'static> CredentialProvider for TokenCache<T> {
                type Credential = T;

                fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, Result<Arc<T>>>
                where
                    'a: 'b,
                    Self: 'b,
                {
                    hit_or(|| self.hit().map(Ok), || Box::pin(async { self.get().await.map_err(generic) }))
                }
            }

            /// The source of the error is the [`Error`](crate::Error) of the cache.
            impl<T, U> CredentialProvider for View<T, U>
            where
                T: Send + Sync + 'static,
                U: Send + Sync + 'static,
            {
                type Credential = U;

                fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, Result<Arc<U>>>
                where
                    'a: 'b,
                    Self: 'b,
                {
                    hit_or(|| self.hit().map(Ok), || Box::pin(async { self.get().await.map_err(generic) }))
                }
            }

            fn generic(error: crate::Error) -> Error {
                Error::Generic { store: "TokenCache", source: error.into() }
            }
        };
    };
}

provider!("object_store-0_12", object_store_0_12);
provider!("object_store-0_13", object_store_0_13);
provider!("object_store-0_14", object_store);

/// A future that is ready with a hit at its first poll, or else runs `miss`.
///
/// An async block costs a hit two more indirect jumps and a larger allocation.
fn hit_or<'a, R: 'a>(
    hit: impl Fn() -> Option<R> + Send + 'a,
    miss: impl Fn() -> BoxFuture<'a, R> + Send + 'a,
) -> BoxFuture<'a, R> {
    let mut missed: Option<BoxFuture<'a, R>> = None;
    Box::pin(poll_fn(move |context| match &mut missed {
        Some(missed) => missed.as_mut().poll(context),
        None => match hit() {
            Some(result) => Poll::Ready(result),
            None => missed.insert(miss()).as_mut().poll(context),
        },
    }))
}
