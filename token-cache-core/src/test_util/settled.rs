//! [`settled`]: waiting until all other tasks wait.

use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};
use tokio::task::{try_id, yield_now};

/// Waits until every other task of the current tokio runtime waits: for an answer of a mock source, for a
/// [`VirtualClock`](super::VirtualClock), for a socket.
///
/// It sees nothing of plain threads and of `spawn_blocking`. A socket or a timer of tokio that becomes ready later wakes its
/// task later.
///
/// # Panics
///
/// - Outside of a tokio runtime.
/// - On a multi-thread runtime whose other tasks do not come to rest within a million checks.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::test_util::settled;
/// # use token_cache_core::test_util::Harness;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::Error> {
/// # let mut harness = Harness::<&str>::new();
/// # let cache = harness.cache.clone();
/// let get = harness.spawn_get();
/// settled().await;
/// assert_eq!(harness.source.fetches(), 1);
/// # Ok(())
/// # }
/// ```
pub async fn settled() {
    let handle = Handle::current();
    if handle.runtime_flavor() == RuntimeFlavor::CurrentThread {
        for _ in 0..YIELDS {
            yield_now().await;
        }
        return;
    }
    // A task occupies a worker itself; `block_on` occupies none.
    let own = usize::from(try_id().is_some());
    let (metrics, mut quiet) = (handle.metrics(), 0);
    for _ in 0..ATTEMPTS {
        // Lets a task run that only this worker can run. It may wake other workers for a moment.
        yield_now().await;
        quiet = if comes_to_rest(&metrics, own) { quiet + 1 } else { 0 };
        if quiet == YIELDS {
            return;
        }
    }
    panic!("the other tasks of this runtime do not come to rest");
}

/// Whether all workers but `own` are parked, within a number of checks.
fn comes_to_rest(metrics: &RuntimeMetrics, own: usize) -> bool {
    (0..CHECKS).any(|_| {
        std::thread::yield_now();
        // A worker's count is odd while it is parked.
        let parked = (0..metrics.num_workers()).filter(|n| metrics.worker_park_unpark_count(*n) % 2 == 1).count();
        metrics.global_queue_depth() == 0 && parked + own >= metrics.num_workers()
    })
}

/// More turns than a task of a cache takes from being woken to waiting again.
pub(super) const YIELDS: usize = 32;

const ATTEMPTS: usize = 1000;

const CHECKS: usize = 1000;
