//! The time of a cold start: many tasks wait for the first token, from the source's answer to the wake of the last task.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use serde_json::{Value, json};
use token_cache_core::{BoxError, TemporaryToken, TokenCache, TokenSource};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::source::HOUR;
use crate::stats::Quartiles;

pub(crate) struct ColdStarts(pub(crate) Vec<ColdStart>);

/// The cold start with one number of waiting tasks.
pub(crate) struct ColdStart {
    pub(crate) waiters: usize,
    pub(crate) cache: Quartiles,
    /// The same tasks on a `tokio::sync::watch` without a cache.
    pub(crate) watch: Quartiles,
    /// The time of the cache divided by the time of the `watch` in the same round.
    ratio: Quartiles,
    /// The largest number of source calls of a round.
    calls: usize,
}

const WAITERS: [usize; 4] = [1, 100, 10_000, 100_000];
const ROUNDS: usize = 15;

pub(crate) fn measure(runtime: &Runtime) -> anyhow::Result<ColdStarts> {
    WAITERS.into_iter().map(|waiters| run(runtime, waiters)).collect::<anyhow::Result<_>>().map(ColdStarts)
}

fn run(runtime: &Runtime, waiters: usize) -> anyhow::Result<ColdStart> {
    let (mut rounds, mut calls) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        let (for_cache, for_watch) = (Arc::new(Trial::new()), Arc::new(Trial::new()));
        // The two alternate, so that neither always runs with the memory that the other has just released.
        let (cache, watch) = if round % 2 == 0 {
            let cache = runtime.block_on(wake_by_cache(&for_cache, waiters))?;
            (cache, runtime.block_on(wake_by_watch(&for_watch, waiters))?)
        } else {
            let watch = runtime.block_on(wake_by_watch(&for_watch, waiters))?;
            (runtime.block_on(wake_by_cache(&for_cache, waiters))?, watch)
        };
        calls = for_cache.calls.load(Ordering::SeqCst).max(calls);
        // In the first round the allocator requests memory from the operating system.
        if round > 0 {
            rounds.push((cache, watch));
        }
    }
    Ok(ColdStart {
        waiters,
        cache: Quartiles::of(rounds.iter().map(|(cache, _)| *cache)),
        watch: Quartiles::of(rounds.iter().map(|(_, watch)| *watch)),
        ratio: Quartiles::of(rounds.iter().map(|(cache, watch)| cache / watch)),
        calls,
    })
}

/// What the waiting tasks and the source share in one round.
struct Trial {
    start: Instant,
    /// Tasks that have been polled once and wait.
    waiting: AtomicUsize,
    /// Lets the source answer.
    answer: Notify,
    calls: AtomicUsize,
    /// When the source answered, in time since `start`.
    answered: OnceLock<Duration>,
    /// When the last task woke, in nanoseconds since `start`.
    last_wake: AtomicU64,
}

impl Trial {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            waiting: AtomicUsize::new(0),
            answer: Notify::new(),
            calls: AtomicUsize::new(0),
            answered: OnceLock::new(),
            last_wake: AtomicU64::new(0),
        }
    }

    /// The source call.
    async fn fetch(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.answer.notified().await;
        let _ = self.answered.set(self.start.elapsed());
    }

    /// One waiting task: counts itself when it waits, and records when it wakes.
    async fn wait<R>(&self, get: impl Future<Output = R>) -> R {
        let mut get = pin!(get);
        poll_fn(|context| {
            assert!(get.as_mut().poll(context).is_pending(), "ready before the source has answered");
            Poll::Ready(())
        })
        .await;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let result = get.await;
        self.last_wake.fetch_max(self.start.elapsed().as_nanos() as u64, Ordering::SeqCst);
        result
    }

    /// Lets the source answer once all tasks wait. Returns the nanoseconds from its answer to the last wake.
    async fn run(&self, tasks: Vec<JoinHandle<()>>) -> anyhow::Result<f64> {
        while self.waiting.load(Ordering::SeqCst) < tasks.len() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        // The last task to count itself may still be on its way back to the scheduler.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.answer.notify_one();
        for task in tasks {
            task.await?;
        }
        let answered = self.answered.get().context("the source was not called")?;
        Ok(self.last_wake.load(Ordering::SeqCst) as f64 - answered.as_nanos() as f64)
    }
}

struct Source(Arc<Trial>);

#[async_trait]
impl TokenSource for Source {
    type Token = usize;

    async fn fetch(&self) -> Result<TemporaryToken<usize>, BoxError> {
        self.0.fetch().await;
        Ok(TemporaryToken::expires_in(0, HOUR))
    }
}

async fn wake_by_cache(trial: &Arc<Trial>, waiters: usize) -> anyhow::Result<f64> {
    let cache = TokenCache::builder(Source(Arc::clone(trial))).build();
    let spawn = || {
        let (trial, cache) = (Arc::clone(trial), cache.clone());
        tokio::spawn(async move { drop(trial.wait(cache.get()).await.expect("a token")) })
    };
    trial.run((0..waiters).map(|_| spawn()).collect()).await
}

async fn wake_by_watch(trial: &Arc<Trial>, waiters: usize) -> anyhow::Result<f64> {
    let sender = Arc::new(watch::Sender::new(None::<Arc<usize>>));
    let spawn = || {
        let (trial, sender) = (Arc::clone(trial), Arc::clone(&sender));
        tokio::spawn(async move {
            let mut receiver = sender.subscribe();
            let token = trial.wait(receiver.wait_for(Option::is_some)).await;
            drop(token.expect("a token").clone());
        })
    };
    let tasks = (0..waiters).map(|_| spawn()).collect();
    tokio::spawn({
        let trial = Arc::clone(trial);
        async move {
            trial.fetch().await;
            sender.send_replace(Some(Arc::new(0)));
        }
    });
    trial.run(tasks).await
}

impl ColdStarts {
    /// The time of the cache divided by that of a `watch`.
    pub(crate) fn ratio(&self, waiters: usize) -> anyhow::Result<Quartiles> {
        let start = self.0.iter().find(|start| start.waiters == waiters);
        Ok(start.with_context(|| format!("{waiters} waiters were not measured"))?.ratio)
    }

    pub(crate) fn json(&self) -> Value {
        let json = |start: &ColdStart| {
            json!({
                "waiters": start.waiters,
                "calls": start.calls,
                "wake_ns": start.cache.median,
                "watch_ns": start.watch.median,
                "ratio": start.ratio.median,
            })
        };
        self.0.iter().map(json).collect()
    }
}

impl fmt::Display for ColdStarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A cold start, from the source's answer to the wake of the last waiter: medians of {ROUNDS} rounds.\n"
        )?;
        writeln!(
            f,
            "| waiters | source calls | token-cache (quartiles) | `watch` (quartiles) | ratio |\n|---|---|---|---|---|"
        )?;
        for ColdStart { waiters, cache, watch, ratio, calls } in &self.0 {
            writeln!(f, "| {waiters} | {calls} | {cache} | {watch} | {:.2} |", ratio.median)?;
        }
        Ok(())
    }
}
