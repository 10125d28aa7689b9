//! [`FetchHistory`]: the fetches of a cache, recorded from its events.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use token_cache_core::Event;

use crate::timing::{as_millis, unix_millis};

/// The fetches that a cache has made so far.
#[derive(Debug, Default)]
pub(crate) struct FetchHistory {
    started: AtomicU64,
    failed: AtomicU64,
    sessions: Mutex<Vec<Session>>,
}

/// A session that the cache has fetched. Times are in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Session {
    pub(crate) fetched_at_ms: u64,
    /// `u64::MAX` if the session never expires.
    pub(crate) expires_at_ms: u64,
}

impl FetchHistory {
    /// A listener for the cache's events.
    pub(crate) fn listener(self: &Arc<Self>) -> impl Fn(&Event) + Send + Sync + 'static {
        let history = Arc::clone(self);
        move |event| match event {
            Event::FetchStarted { .. } => _ = history.started.fetch_add(1, Ordering::Relaxed),
            Event::FetchFailed { .. } => _ = history.failed.fetch_add(1, Ordering::Relaxed),
            Event::FetchSucceeded { remaining, .. } => {
                let fetched_at_ms = unix_millis();
                let expires_at_ms = fetched_at_ms.saturating_add(remaining.map_or(u64::MAX, as_millis));
                let session = Session { fetched_at_ms, expires_at_ms };
                history.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            }
            _ => {}
        }
    }

    /// The number of fetches started.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// The number of fetches failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The number of sessions that replaced another.
    pub(crate) fn rotations(&self) -> u64 {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        sessions.saturating_sub(1)
    }

    /// All sessions, the oldest first.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
