//! [`Service`]: who issues the tokens, and checks them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, header};
use token_cache_core::{TemporaryToken, TokenSource, source_fn};
use tokio::sync::watch;

/// The tokens are numbered, and some were revoked.
#[derive(Default)]
pub(crate) struct Service {
    issued: AtomicUsize,
    /// Up to this one.
    revoked: AtomicUsize,
    rejected: AtomicUsize,
    down: AtomicBool,
    accepted: watch::Sender<usize>,
    /// How many requests wait at the door.
    waiting: watch::Sender<usize>,
    closed: watch::Sender<bool>,
}

impl Service {
    pub(crate) fn source(self: &Arc<Self>) -> impl TokenSource<Token = String> {
        let service = Arc::clone(self);
        source_fn(move || {
            let service = Arc::clone(&service);
            async move {
                if service.down.load(Ordering::SeqCst) {
                    return Err("the issuer is down");
                }
                let number = service.issued.fetch_add(1, Ordering::SeqCst) + 1;
                Ok(TemporaryToken::expires_in(format!("token-{number}"), Duration::from_secs(3600)))
            }
        })
    }

    /// Rejects the tokens that were issued so far.
    pub(crate) fn revoke(&self) {
        self.revoked.store(self.issued(), Ordering::SeqCst);
    }

    /// Rejects whatever will be issued.
    pub(crate) fn reject_all(&self) {
        self.revoked.store(usize::MAX, Ordering::SeqCst);
    }

    pub(crate) fn stop_issuing(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Lets requests wait.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Waits until so many requests wait.
    pub(crate) async fn arrived(&self, count: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting == count).await.unwrap();
    }

    /// Waits until so many requests more were accepted.
    pub(crate) async fn more_accepted(&self, count: usize) {
        let goal = self.accepted() + count;
        self.accepted.subscribe().wait_for(|accepted| *accepted >= goal).await.unwrap();
    }

    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    pub(crate) fn rejected(&self) -> usize {
        self.rejected.load(Ordering::SeqCst)
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    pub(crate) async fn admits(&self, headers: &HeaderMap) -> bool {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.closed.subscribe().wait_for(|closed| !closed).await.unwrap();
        self.waiting.send_modify(|waiting| *waiting -= 1);
        let number = || -> Option<usize> {
            headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer token-")?.parse().ok()
        };
        let admitted = number().is_some_and(|number| number > self.revoked.load(Ordering::SeqCst));
        if admitted {
            self.accepted.send_modify(|accepted| *accepted += 1);
        } else {
            self.rejected.fetch_add(1, Ordering::SeqCst);
        }
        admitted
    }
}
