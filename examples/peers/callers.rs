//! [`Callers`]: concurrent or sequential callers of one cache.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::outcome::{Call, CallResult, Outcome};
use crate::peer::{Peer, PeerCache};
use crate::source::ScriptedSource;

/// A cache, its source, and the calls that a scenario makes.
pub(crate) struct Callers {
    pub(crate) source: Arc<ScriptedSource>,
    cache: Arc<dyn PeerCache>,
}

impl Callers {
    /// Builds an empty cache over `source`.
    pub(crate) fn new(peer: &dyn Peer, source: ScriptedSource) -> anyhow::Result<Self> {
        let source = Arc::new(source);
        let cache = peer.build(Arc::clone(&source))?;
        Ok(Self { source, cache })
    }

    /// Starts `count` calls at the same time, each in a task, and waits for all of them.
    pub(crate) async fn concurrent(&self, count: usize) -> Outcome {
        let (calls, start) = (self.source.calls(), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(get(Arc::clone(&self.source), Arc::clone(&self.cache), CALL_TIMEOUT));
        }
        let mut outcome = Outcome::default();
        while let Some(joined) = tasks.join_next().await {
            let panicked = Call { result: CallResult::Panic, waited: false, took: Duration::ZERO };
            outcome.add(&joined.unwrap_or(panicked));
        }
        Outcome { calls: self.source.calls() - calls, elapsed: start.elapsed(), ..outcome }
    }

    /// Makes `count` calls one after another, with a pause after each and a timeout for each.
    pub(crate) async fn sequential(&self, count: usize, pause: Duration, limit: Duration) -> Outcome {
        let (calls, start) = (self.source.calls(), Instant::now());
        let mut outcome = Outcome::default();
        for _ in 0..count {
            outcome.add(&get(Arc::clone(&self.source), Arc::clone(&self.cache), limit).await);
            sleep(pause).await;
        }
        Outcome { calls: self.source.calls() - calls, elapsed: start.elapsed(), ..outcome }
    }

    /// Makes one call in a task.
    pub(crate) fn spawn_one(&self) -> JoinHandle<Call> {
        tokio::spawn(get(Arc::clone(&self.source), Arc::clone(&self.cache), CALL_TIMEOUT))
    }
}

async fn get(source: Arc<ScriptedSource>, cache: Arc<dyn PeerCache>, limit: Duration) -> Call {
    let start = Instant::now();
    let mut get = pin!(cache.get());
    let first_poll = poll_fn(|context| Poll::Ready(get.as_mut().poll(context))).await;
    let waited = first_poll.is_pending();
    let answer = match first_poll {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => timeout(limit, get).await.ok(),
    };
    let took = start.elapsed();
    let result = match answer {
        Some(Ok(number)) if source.remaining(number).is_some() => CallResult::Token,
        Some(Ok(_)) => CallResult::ExpiredToken,
        Some(Err(_)) => CallResult::Error,
        None => CallResult::Timeout,
    };
    Call { result, waited, took }
}

/// Longer than 100 source calls of 50 ms in sequence, so that a cache which serializes its callers still finishes.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(9);
