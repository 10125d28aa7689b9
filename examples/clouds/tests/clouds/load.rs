//! Workers that write and read while the tokens rotate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use token_cache_core::TokenCache;

use crate::{ROTATIONS, SECOND};

/// Writes and reads from 4 workers until `done`. Each failed request is the end of the test. Gives the number of requests.
pub(crate) async fn until<Fut: Future<Output = bool> + Send>(
    store: impl ObjectStore,
    done: impl Fn() -> Fut + Send + Sync,
) -> u64 {
    let store = Arc::new(store);
    let (requests, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    // Of its own for each run.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let folder = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let workers: Vec<_> = (0..4)
        .map(|n| {
            let (store, requests, stop) = (Arc::clone(&store), Arc::clone(&requests), Arc::clone(&stop));
            let path = Path::from(format!("{folder}/{n}"));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let text = format!("{n} {}", requests.load(Ordering::Relaxed));
                    store.put(&path, text.clone().into()).await.unwrap();
                    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), text);
                    requests.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let rotated = async {
        while !done().await && !workers.iter().any(|worker| worker.is_finished()) {
            tokio::time::sleep(SECOND / 5).await;
        }
    };
    let in_time = tokio::time::timeout(90 * SECOND, rotated).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("no request fails");
    }
    in_time.expect("rotations in time");
    requests.load(Ordering::Relaxed)
}

/// The same until the token has been replaced [`ROTATIONS`] times. Gives the number of requests, and of the tokens that were
/// stored.
pub(crate) async fn through_rotations<T: Send + Sync + 'static>(
    store: impl ObjectStore,
    cache: &TokenCache<T>,
) -> (u64, u64) {
    let requests = until(store, || async { cache.status().generation > ROTATIONS }).await;
    (requests, settled(cache).await)
}

/// How many tokens were stored, once the refresh that the last of the readers may have begun has ended.
pub(crate) async fn settled<T: Send + Sync + 'static>(cache: &TokenCache<T>) -> u64 {
    while cache.status().refreshing {
        tokio::time::sleep(SECOND / 100).await;
    }
    cache.status().generation
}
