//! [`AuthServer`]: issues tokens and authorizes requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, header};
use token_cache_core::{TemporaryToken, TokenSource, source_fn};
use tokio::sync::watch;

/// Issues numbered tokens. A token is revoked if its number is at most `revoked`.
#[derive(Default)]
pub(crate) struct AuthServer {
    issued: AtomicUsize,
    revoked: AtomicUsize,
    rejected: AtomicUsize,
    down: AtomicBool,
    accepted: watch::Sender<usize>,
    /// Requests that wait for [`resume`](Self::resume).
    waiting: watch::Sender<usize>,
    paused: watch::Sender<bool>,
}

impl AuthServer {
    pub(crate) fn source(self: &Arc<Self>) -> impl TokenSource<Token = String> {
        let auth = Arc::clone(self);
        source_fn(move || {
            let auth = Arc::clone(&auth);
            async move {
                if auth.down.load(Ordering::SeqCst) {
                    return Err("the issuer is down");
                }
                let number = auth.issued.fetch_add(1, Ordering::SeqCst) + 1;
                Ok(TemporaryToken::expires_in(format!("token-{number}"), Duration::from_secs(3600)))
            }
        })
    }

    /// Revokes all tokens issued so far.
    pub(crate) fn revoke_issued(&self) {
        self.revoked.store(self.issued(), Ordering::SeqCst);
    }

    /// Revokes every token, including those that are issued later.
    pub(crate) fn revoke_all(&self) {
        self.revoked.store(usize::MAX, Ordering::SeqCst);
    }

    /// Fails all further fetches.
    pub(crate) fn stop_issuing(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Holds requests back until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.paused.send_replace(true);
    }

    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Returns when exactly `count` requests are held back.
    pub(crate) async fn wait_until_paused(&self, count: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting == count).await.unwrap();
    }

    /// Returns when `count` requests more than now have been accepted.
    pub(crate) async fn wait_until_accepted(&self, count: usize) {
        let goal = self.accepted() + count;
        self.accepted.subscribe().wait_for(|accepted| *accepted >= goal).await.unwrap();
    }

    /// The number of tokens issued.
    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    /// The number of requests rejected.
    pub(crate) fn rejected(&self) -> usize {
        self.rejected.load(Ordering::SeqCst)
    }

    /// The number of requests accepted.
    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Whether the request with these headers carries a valid token.
    pub(crate) async fn authorize(&self, headers: &HeaderMap) -> bool {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
        self.waiting.send_modify(|waiting| *waiting -= 1);
        let number = || -> Option<usize> {
            headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer token-")?.parse().ok()
        };
        let accepted = number().is_some_and(|number| number > self.revoked.load(Ordering::SeqCst));
        if accepted {
            self.accepted.send_modify(|accepted| *accepted += 1);
        } else {
            self.rejected.fetch_add(1, Ordering::SeqCst);
        }
        accepted
    }
}
