//! Workers that write and read while the tokens rotate.

use object_store::ObjectStore;
use token_cache_core::TokenCache;
use token_cache_test_support::{round_trips, wait_until};

use crate::ROTATIONS;

/// Writes and reads until `end`, and returns the number of operations. No request may fail.
pub(crate) async fn until(store: impl ObjectStore, end: impl Future<Output = ()>) -> u64 {
    round_trips(store, 4).run_until(end).await.assert_no_failures()
}

/// Writes and reads until the token has rotated [`ROTATIONS`] times. Returns the number of operations and of tokens.
pub(crate) async fn through_rotations<T: Send + Sync + 'static>(
    store: impl ObjectStore,
    cache: &TokenCache<T>,
) -> (u64, u64) {
    let end = wait_until("rotations", async || cache.status().generation > ROTATIONS);
    let operations = until(store, end).await;
    wait_for_fetch(cache).await;
    (operations, cache.status().generation)
}

/// Waits for the end of a fetch that a reader may have started.
pub(crate) async fn wait_for_fetch<T: Send + Sync + 'static>(cache: &TokenCache<T>) {
    wait_until("the end of the fetch", async || cache.status().fetch == token_cache_core::FetchState::Idle).await;
}
