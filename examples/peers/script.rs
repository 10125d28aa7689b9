//! [`Script`]: the one source of tokens behind every peer, and what it is to do next.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What the source does when it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// Answers with a token that lives for so long.
    Lives(Duration),
    /// Answers with a token that has expired already.
    Expired,
    Fails,
    /// Panics, and from then on is as good as any.
    PanicsOnce,
}

/// A source that does as it is told, and counts.
#[derive(Debug)]
pub(crate) struct Script {
    plan: Mutex<(Duration, Mode)>,
    calls: AtomicU64,
    /// When each token expires; its place is its number.
    issued: Mutex<Vec<SystemTime>>,
}

/// A token: its number says all that is to be known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issued {
    pub(crate) number: usize,
    pub(crate) expires_at: SystemTime,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Down;

impl Script {
    /// A source that takes `delay` for each answer.
    pub(crate) const fn new(delay: Duration, mode: Mode) -> Self {
        Self { plan: Mutex::new((delay, mode)), calls: AtomicU64::new(0), issued: Mutex::new(Vec::new()) }
    }

    /// From the next call on. One under way goes on as it began.
    pub(crate) fn becomes(&self, delay: Duration, mode: Mode) {
        *lock(&self.plan) = (delay, mode);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The source itself.
    pub(crate) async fn fetch(&self) -> Result<Issued, Down> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (delay, mode) = self.next();
        tokio::time::sleep(delay).await;
        match mode {
            Mode::Lives(lifetime) => Ok(self.issue(SystemTime::now() + lifetime)),
            Mode::Expired => Ok(self.issue(SystemTime::now() - Duration::from_secs(1))),
            Mode::Fails => Err(Down),
            Mode::PanicsOnce => panic!("as the script says"),
        }
    }

    /// How long the token of this number still works.
    pub(crate) fn remaining(&self, number: usize) -> Option<Duration> {
        lock(&self.issued).get(number)?.duration_since(SystemTime::now()).ok()
    }

    fn next(&self) -> (Duration, Mode) {
        let mut plan = lock(&self.plan);
        let next = *plan;
        if matches!(next.1, Mode::PanicsOnce) {
            plan.1 = Mode::Lives(AN_HOUR);
        }
        next
    }

    fn issue(&self, expires_at: SystemTime) -> Issued {
        let mut issued = lock(&self.issued);
        issued.push(expires_at);
        Issued { number: issued.len() - 1, expires_at }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is down")
    }
}

impl std::error::Error for Down {}

pub(crate) const AN_HOUR: Duration = Duration::from_secs(3600);

/// The lock, also after a panic: nothing under one of these is ever half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
