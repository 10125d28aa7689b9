//! [`wait_until`]: waits for a condition of the real world.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Returns as soon as `condition` is true, which it checks every 20 ms.
///
/// It uses tokio's timer, so the runtime's clock must not be paused.
///
/// # Panics
///
/// If the condition, which `what` describes, is false for 10 minutes. That limit only turns a hang into a failure.
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(INTERVAL).await;
        }
    };
    timeout(LIMIT, holds).await.unwrap_or_else(|_| panic!("waited for {LIMIT:?} in vain: {what}"));
}

const INTERVAL: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(600);
