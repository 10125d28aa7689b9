//! [`ScriptedSource`]: the token source of every cache that is compared here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A source that counts its calls and answers each of them as it was last configured to.
#[derive(Debug)]
pub(crate) struct ScriptedSource {
    next: Mutex<(Duration, Behavior)>,
    calls: AtomicU64,
    /// The expiry of each issued token, indexed by the token's number.
    expiries: Mutex<Vec<SystemTime>>,
}

/// How the source answers a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behavior {
    /// Issues a token with this lifetime.
    Issue(Duration),
    /// Issues a token that expired 1 s ago.
    IssueExpired,
    Fail,
    /// Panics in the next call, and issues tokens that live for one hour in all later calls.
    PanicOnce,
}

/// A token. The number identifies it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IssuedToken {
    pub(crate) number: usize,
    pub(crate) expires_at: SystemTime,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceError;

impl ScriptedSource {
    /// A source that answers each call after `delay`.
    pub(crate) const fn new(delay: Duration, behavior: Behavior) -> Self {
        Self { next: Mutex::new((delay, behavior)), calls: AtomicU64::new(0), expiries: Mutex::new(Vec::new()) }
    }

    /// Applies to calls that start from now on. A call in progress is not affected.
    pub(crate) fn set_behavior(&self, delay: Duration, behavior: Behavior) {
        *lock(&self.next) = (delay, behavior);
    }

    /// The number of calls that have started.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) async fn fetch(&self) -> Result<IssuedToken, SourceError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (delay, behavior) = self.next_behavior();
        tokio::time::sleep(delay).await;
        match behavior {
            Behavior::Issue(lifetime) => Ok(self.issue(SystemTime::now() + lifetime)),
            Behavior::IssueExpired => Ok(self.issue(SystemTime::now() - Duration::from_secs(1))),
            Behavior::Fail => Err(SourceError),
            Behavior::PanicOnce => panic!("the scenario makes the source panic"),
        }
    }

    /// The remaining lifetime of the token with this number, or `None` if it has expired or was never issued.
    pub(crate) fn remaining(&self, number: usize) -> Option<Duration> {
        lock(&self.expiries).get(number)?.duration_since(SystemTime::now()).ok()
    }

    fn next_behavior(&self) -> (Duration, Behavior) {
        let mut next = lock(&self.next);
        let current = *next;
        if matches!(current.1, Behavior::PanicOnce) {
            next.1 = Behavior::Issue(HOUR);
        }
        current
    }

    fn issue(&self, expires_at: SystemTime) -> IssuedToken {
        let mut expiries = lock(&self.expiries);
        expiries.push(expires_at);
        IssuedToken { number: expiries.len() - 1, expires_at }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is down")
    }
}

impl std::error::Error for SourceError {}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Locks a mutex even if it is poisoned: no critical section in this package leaves a value half updated.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
