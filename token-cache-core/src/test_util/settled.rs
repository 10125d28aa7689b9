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
/// - On a multi-thread runtime whose other tasks do not come to rest within 100,000 attempts.
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
    let mut last = Vec::new();
    for _ in 0..ATTEMPTS {
        yield_now().await;
        let counts: Vec<u64> = (0..metrics.num_workers()).map(|n| metrics.worker_park_unpark_count(n)).collect();
        quiet = if at_rest(&metrics, &counts, own) && counts == last { quiet + 1 } else { 0 };
        if quiet == YIELDS {
            return;
        }
        last = counts;
        std::thread::yield_now();
    }
    panic!("the other tasks of this runtime do not come to rest");
}

/// A worker's count is odd while it is parked.
fn at_rest(metrics: &RuntimeMetrics, counts: &[u64], own: usize) -> bool {
    metrics.global_queue_depth() == 0 && counts.iter().filter(|count| *count % 2 == 0).count() <= own
}

/// More turns than a task of a cache takes from being woken to waiting again.
pub(super) const YIELDS: usize = 32;

const ATTEMPTS: usize = 100_000;
