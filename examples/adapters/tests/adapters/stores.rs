//! The same traffic through each version of object_store.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// A module for each version: builders that do not retry, so that each refusal is seen, and what to do with a store.
macro_rules! stores {
    ($version:ident, $object_store:ident, $traits:ident) => {
        pub(crate) mod $version {
            use super::*;
            use $object_store::aws::{AmazonS3, AmazonS3Builder};
            use $object_store::path::Path;
            use $object_store::{Result, RetryConfig, $traits};

            /// Of the test's bucket.
            #[allow(dead_code, reason = "not every version is used in every way")]
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

            /// Writes and reads for so long, with eight at once, and fails if anything does.
            #[allow(dead_code, reason = "not every version is used in every way")]
            pub(crate) async fn traffic(store: AmazonS3, span: Duration) {
                let store = Arc::new(store);
                let until = now() + span;
                crate::at_once(8, |n| {
                    let store = Arc::clone(&store);
                    async move {
                        while now() < until {
                            round_trip(&store, &format!("object-{n}")).await.unwrap();
                        }
                    }
                })
                .await;
            }
        }
    };
}

stores!(v0_12, object_store_0_12, ObjectStore);
stores!(v0_13, object_store_0_13, ObjectStoreExt);
stores!(v0_14, object_store, ObjectStoreExt);

#[expect(clippy::disallowed_methods, reason = "these tests are on the real clock, as the kit is")]
fn now() -> Instant {
    Instant::now()
}
