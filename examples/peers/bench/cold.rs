//! What a cold start costs: so many wait for the first token, and all are woken by it.

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

use crate::script::AN_HOUR;
use crate::stats::{Spread, time};

/// With so many waiters.
pub(crate) struct Start {
    pub(crate) waiters: usize,
    pub(crate) wake: Spread,
    /// The same for a bare `watch`.
    pub(crate) bare: Spread,
    calls: usize,
}

pub(crate) struct Cold(pub(crate) Vec<Start>);

const WAITERS: [usize; 4] = [1, 100, 10_000, 100_000];
const ROUNDS: usize = 15;

pub(crate) fn measure(runtime: &Runtime) -> anyhow::Result<Cold> {
    WAITERS.into_iter().map(|waiters| start(runtime, waiters)).collect::<anyhow::Result<_>>().map(Cold)
}

fn start(runtime: &Runtime, waiters: usize) -> anyhow::Result<Start> {
    let (mut wakes, mut bares, mut calls) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let (scene, bare) = (Arc::new(Scene::new()), Arc::new(Scene::new()));
        let wake = runtime.block_on(cache(&scene, waiters))?;
        let bare = runtime.block_on(watch(&bare, waiters))?;
        // The first round is for the allocator, which asks the machine for memory then.
        if round > 0 {
            wakes.push(wake);
            bares.push(bare);
        }
        calls = scene.calls.load(Ordering::SeqCst).max(calls);
    }
    Ok(Start { waiters, wake: Spread::of(wakes), bare: Spread::of(bares), calls })
}

/// What those who wait and the one who answers have in common.
struct Scene {
    began: Instant,
    arrived: AtomicUsize,
    /// All are there.
    ready: Notify,
    calls: AtomicUsize,
    answered: OnceLock<Duration>,
    last_woken: AtomicU64,
}

impl Scene {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            arrived: AtomicUsize::new(0),
            ready: Notify::new(),
            calls: AtomicUsize::new(0),
            answered: OnceLock::new(),
            last_woken: AtomicU64::new(0),
        }
    }

    async fn answer(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.ready.notified().await;
        let _ = self.answered.set(self.began.elapsed());
    }

    /// One who waits: there, once it has asked; and woken, once it is answered.
    async fn wait<R>(&self, ask: impl Future<Output = R>) -> R {
        let mut ask = pin!(ask);
        poll_fn(|context| {
            assert!(ask.as_mut().poll(context).is_pending(), "an answer before there was one");
            Poll::Ready(())
        })
        .await;
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let answer = ask.await;
        self.last_woken.fetch_max(self.began.elapsed().as_nanos() as u64, Ordering::SeqCst);
        answer
    }

    /// Lets the answer come once all are there, and tells how long it took until the last was awake.
    async fn play(&self, tasks: Vec<tokio::task::JoinHandle<()>>) -> anyhow::Result<f64> {
        while self.arrived.load(Ordering::SeqCst) < tasks.len() {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        // Whoever has counted itself may not have gone to sleep yet.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.ready.notify_one();
        for task in tasks {
            task.await?;
        }
        let answered = self.answered.get().context("no answer")?;
        Ok(self.last_woken.load(Ordering::SeqCst) as f64 - answered.as_nanos() as f64)
    }
}

struct Source(Arc<Scene>);

#[async_trait]
impl TokenSource for Source {
    type Token = usize;

    async fn fetch(&self) -> Result<TemporaryToken<usize>, BoxError> {
        self.0.answer().await;
        Ok(TemporaryToken::expires_in(0, AN_HOUR))
    }
}

async fn cache(scene: &Arc<Scene>, waiters: usize) -> anyhow::Result<f64> {
    let cache = TokenCache::builder(Source(Arc::clone(scene))).build();
    let wait = || {
        let (scene, cache) = (Arc::clone(scene), cache.clone());
        tokio::spawn(async move { drop(scene.wait(cache.get()).await.expect("a token")) })
    };
    let tasks = (0..waiters).map(|_| wait()).collect();
    scene.play(tasks).await
}

async fn watch(scene: &Arc<Scene>, waiters: usize) -> anyhow::Result<f64> {
    let sender = Arc::new(watch::Sender::new(None::<Arc<usize>>));
    let wait = || {
        let (scene, sender) = (Arc::clone(scene), Arc::clone(&sender));
        tokio::spawn(async move {
            let mut receiver = sender.subscribe();
            let token = scene.wait(receiver.wait_for(Option::is_some)).await;
            drop(token.expect("a token").clone());
        })
    };
    let tasks = (0..waiters).map(|_| wait()).collect();
    tokio::spawn({
        let scene = Arc::clone(scene);
        async move {
            scene.answer().await;
            sender.send_replace(Some(Arc::new(0)));
        }
    });
    scene.play(tasks).await
}

impl Cold {
    pub(crate) fn ratio(&self, waiters: usize) -> anyhow::Result<f64> {
        let start = self.0.iter().find(|start| start.waiters == waiters).context("not measured")?;
        Ok(start.wake.median / start.bare.median)
    }

    pub(crate) fn json(&self) -> Value {
        let json = |start: &Start| {
            json!({
                "waiters": start.waiters,
                "calls": start.calls,
                "wake_ns": start.wake.median,
                "bare_watch_ns": start.bare.median,
            })
        };
        self.0.iter().map(json).collect()
    }
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "What a cold start costs: from the answer to the last waiter's wake, medians of {ROUNDS} rounds.\n"
        )?;
        writeln!(
            f,
            "| waiters | source calls | token-cache (quartiles) | a bare `watch` (quartiles) |\n|---|---|---|---|"
        )?;
        let cell = |Spread { low, median, high }: Spread| format!("{} ({} to {})", time(median), time(low), time(high));
        for Start { waiters, wake, bare, calls } in &self.0 {
            writeln!(f, "| {waiters} | {calls} | {} | {} |", cell(*wake), cell(*bare))?;
        }
        Ok(())
    }
}
