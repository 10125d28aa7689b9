//! `CredentialProvider` of each supported version of object_store.

macro_rules! provider {
    ($feature:literal, $object_store:ident) => {
        #[cfg(feature = $feature)]
        const _: () = {
            use std::sync::Arc;

            use ::$object_store::{CredentialProvider, Error, Result};
            use async_trait::async_trait;

            use crate::{TokenCache, View};

            /// The source of the error is the [`Error`](crate::Error) of the cache.
            #[async_trait]
            impl<T: Send + Sync + 'static> CredentialProvider for TokenCache<T> {
                type Credential = T;

                async fn get_credential(&self) -> Result<Arc<T>> {
                    self.get().await.map_err(generic)
                }
            }

            /// The source of the error is the [`Error`](crate::Error) of the cache.
            #[async_trait]
            impl<T, U> CredentialProvider for View<T, U>
            where
                T: Send + Sync + 'static,
                U: Send + Sync + 'static,
            {
                type Credential = U;

                async fn get_credential(&self) -> Result<Arc<U>> {
                    self.get().await.map_err(generic)
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
