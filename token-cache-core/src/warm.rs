//! The task that keeps a cache warm.

use std::sync::{Arc, Weak};

use crate::cache::TokenCache;
use crate::shared::Shared;
use crate::state::Warm;

/// Fetches when it is time, without a caller. It holds no handle while it waits, and ends with the last one.
pub(crate) async fn keep<T: Send + Sync + 'static>(shared: Weak<Shared<T>>) {
    while let Some(shared) = shared.upgrade() {
        let cache = TokenCache { shared };
        match cache.shared.update(|state, policy, now| state.warm(policy, now)) {
            Warm::Fetch(departure) => {
                let flight = Arc::clone(&departure.flight);
                cache.launch(departure);
                drop(cache);
                flight.join().await;
            }
            Warm::Sleep(until) => {
                let sleep = cache.shared.setup.clock.sleep_until(until);
                drop(cache);
                sleep.await;
            }
            Warm::Stop => return,
            Warm::Wait(flight) => {
                drop(cache);
                flight.join().await;
            }
        }
    }
}
