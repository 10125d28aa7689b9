//! [`PendingCaches`]: the caches that are being created.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

use crate::cache::AwsTokenCache;
use crate::identity::IdentitySpec;

/// Lets concurrent callers of one identity share its creation, which may query the instance metadata service.
#[derive(Default)]
pub(super) struct PendingCaches {
    /// A cell lives as long as a caller waits for it.
    cells: Mutex<HashMap<IdentitySpec, Weak<OnceCell<AwsTokenCache>>>>,
}

impl PendingCaches {
    /// If the caller that runs `create` is cancelled or fails, the next one runs its own.
    pub(super) async fn get_or_init<E, F>(
        &self,
        identity: &IdentitySpec,
        create: impl FnOnce() -> F,
    ) -> Result<AwsTokenCache, E>
    where
        F: Future<Output = Result<AwsTokenCache, E>>,
    {
        let cell = self.cell(identity);
        cell.get_or_try_init(create).await.cloned()
    }

    fn cell(&self, identity: &IdentitySpec) -> Arc<OnceCell<AwsTokenCache>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(identity).and_then(Weak::upgrade) {
            return cell;
        }
        cells.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::default();
        cells.insert(identity.clone(), Arc::downgrade(&cell));
        cell
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::Credentials;
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn one_hundred_callers_create_one_cache() {
        let (pending, created) = (PendingCaches::default(), AtomicUsize::new(0));
        let create = || async {
            created.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(AwsTokenCache::from_provider(Credentials::new("key", "secret", None, None, "test")))
        };
        let identity = IdentitySpec::profile("a");
        let mut cancelled = Box::pin(pending.get_or_init(&identity, create));
        assert!(futures::poll!(&mut cancelled).is_pending());
        drop(cancelled);
        assert_eq!(created.load(Ordering::Relaxed), 1);

        join_all((0..100).map(|_| pending.get_or_init(&identity, create))).await;
        assert_eq!(created.load(Ordering::Relaxed), 2, "one was cancelled");

        pending.get_or_init(&IdentitySpec::profile("b"), create).await.unwrap();
        assert_eq!(pending.cells.lock().unwrap().len(), 1, "cells without a caller are removed");
    }
}
