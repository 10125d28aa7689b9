//! The same load for each version of object_store.

use std::collections::BTreeSet;
use std::sync::Arc;

use token_cache_test_support::{Load, Worker, wait_until};

/// A module for each version. Its stores do not retry, so that each rejected request is an error.
macro_rules! stores {
    ($version:ident, $object_store:ident, $traits:ident) => {
        #[allow(dead_code, reason = "not every version needs every function")]
        pub(crate) mod $version {
            use super::*;
            use $object_store::aws::{AmazonS3, AmazonS3Builder};
            use $object_store::path::Path;
            use $object_store::{Error, Result, RetryConfig, $traits};

            /// A store for the bucket of the tests.
            pub(crate) fn of_bucket(builder: AmazonS3Builder) -> AmazonS3 {
                let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
                builder.with_bucket_name(crate::BUCKET).with_retry(retry).build().unwrap()
            }

            /// Writes and reads one object.
            pub(crate) async fn round_trip(store: &AmazonS3, name: &str) -> Result<()> {
                let path = Path::from(name);
                store.put(&path, name.to_owned().into()).await?;
                assert_eq!(store.get(&path).await?.bytes().await?, name);
                Ok(())
            }

            /// Workers that write and read until the first failure.
            pub(crate) fn load(store: AmazonS3) -> Load<impl Worker<Error = Error>> {
                let store = Arc::new(store);
                Load::new((0..WORKERS).map(move |n| {
                    let (store, name) = (Arc::clone(&store), format!("object-{n}"));
                    move || {
                        let (store, name) = (Arc::clone(&store), name.clone());
                        async move { round_trip(&store, &name).await }
                    }
                }))
            }

            /// Writes and reads until requests were signed with `count` sessions. No request may fail.
            pub(crate) async fn use_sessions(store: AmazonS3, count: usize) {
                let credentials = Arc::clone(store.credentials());
                let load = load(store);
                let operations = load.operations();
                let end = async {
                    let mut keys = BTreeSet::new();
                    wait_until("new sessions", async || {
                        keys.insert(credentials.get_credential().await.unwrap().key_id.clone());
                        keys.len() == count
                    })
                    .await;
                    // The operations in progress may have been signed before, the others use the last session.
                    let all = operations.count() + 2 * WORKERS;
                    wait_until("operations with the last session", async || operations.count() >= all).await;
                };
                load.run_until(end).await.assert_no_failures();
            }
        }
    };
}

stores!(v0_12, object_store_0_12, ObjectStore);
stores!(v0_13, object_store_0_13, ObjectStoreExt);
stores!(v0_14, object_store, ObjectStoreExt);

const WORKERS: u64 = 8;
