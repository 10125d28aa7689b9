//! [`Crowd`]: callers of one cache, at once or one after another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::peer::{Caller, Peer};
use crate::script::Script;
use crate::tally::{Got, Tally};

/// Those who want tokens of one cache.
pub(crate) struct Crowd {
    pub(crate) script: Arc<Script>,
    caller: Arc<dyn Caller>,
}

impl Crowd {
    /// Before a cache of its own, over `script`.
    pub(crate) fn before(peer: &dyn Peer, script: Script) -> anyhow::Result<Self> {
        let script = Arc::new(script);
        let caller = peer.fresh(Arc::clone(&script))?;
        Ok(Self { script, caller })
    }

    /// All at once.
    pub(crate) async fn rush(&self, callers: usize) -> Tally {
        let (before, began) = (self.script.calls(), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            tasks.spawn(get(Arc::clone(&self.script), Arc::clone(&self.caller), PATIENCE));
        }
        let mut tally = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let (got, waited) = done.unwrap_or((Got::Panic, Duration::ZERO));
            tally.add(&got, waited);
        }
        tally.took = began.elapsed();
        tally.calls = self.script.calls() - before;
        tally
    }

    /// One after another, `pause` apart, none of whom waits for longer than `patience`.
    pub(crate) async fn queue(&self, callers: usize, pause: Duration, patience: Duration) -> Tally {
        let (before, began) = (self.script.calls(), Instant::now());
        let mut tally = Tally::default();
        for _ in 0..callers {
            let (got, waited) = get(Arc::clone(&self.script), Arc::clone(&self.caller), patience).await;
            tally.add(&got, waited);
            tokio::time::sleep(pause).await;
        }
        tally.took = began.elapsed();
        tally.calls = self.script.calls() - before;
        tally
    }

    /// One of them, in a task of their own.
    pub(crate) fn one(&self) -> JoinHandle<(Got, Duration)> {
        tokio::spawn(get(Arc::clone(&self.script), Arc::clone(&self.caller), PATIENCE))
    }
}

async fn get(script: Arc<Script>, caller: Arc<dyn Caller>, patience: Duration) -> (Got, Duration) {
    let began = Instant::now();
    let answer = timeout(patience, caller.get()).await;
    let waited = began.elapsed();
    let got = match answer {
        Ok(Ok(number)) if script.remaining(number).is_some() => Got::Token,
        Ok(Ok(_)) => Got::Expired,
        Ok(Err(_)) => Got::Error,
        Err(_) => Got::Nothing,
    };
    (got, waited)
}

/// More than a hundred calls of the source, one after another, take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(9);
