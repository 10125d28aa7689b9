//! What a rotation costs those who read: 64 readers in a loop, while a token comes to the time at which it is refreshed, and
//! the source takes 200 ms to answer, or to fail.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_trait::async_trait;
use aws_smithy_runtime::client::identity::IdentityCache;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::{sleep_until, timeout_at};

use crate::core::Core;
use crate::peer::smithy::Lazy;
use crate::peer::{self, Caller, Peer};
use crate::script::{AN_HOUR, Mode, Script};
use crate::stats::{Spread, time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
}

/// One who is read, with how much left it begins to refresh.
struct Subject {
    name: &'static str,
    peer: Box<dyn Peer>,
    window: Duration,
}

/// What came of one subject and one outcome, in all rounds.
pub(crate) struct Rotation {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    rounds: Vec<Round>,
}

struct Round {
    latency: Histogram<u64>,
    /// The slowest read, less what it waited for a core.
    own: u64,
    waited: u64,
    calls: u64,
    /// The slowest read of those that began in each millisecond, in nanoseconds.
    timeline: Vec<u64>,
}

pub(crate) struct Rotations(Vec<Rotation>);

const ROUNDS: usize = 15;
const READERS: usize = 64;

/// What the source takes.
const FETCH: Duration = Duration::from_millis(200);

/// For how long it is watched before the token is due, and in all.
pub(crate) const BEFORE: Duration = Duration::from_millis(50);
const WATCHED: Duration = Duration::from_millis(350);

/// Between two subjects: no one's readers are in another's way.
const SLOT: Duration = Duration::from_millis(400);

/// Long enough for every peer's pause between two successes to be over.
const PAUSE: Duration = Duration::from_millis(1150);

pub(crate) fn measure(runtime: &Runtime) -> anyhow::Result<Rotations> {
    let subjects = subjects();
    let mut rotations: Vec<_> = [Outcome::Success, Outcome::Failure]
        .into_iter()
        .flat_map(|outcome| subjects.iter().map(move |subject| (subject, outcome)))
        .map(|(subject, outcome)| (subject, Rotation { name: subject.name, outcome, rounds: Vec::new() }))
        .collect();
    runtime.block_on(async {
        for round in 0..ROUNDS {
            // All are made ready together, each for a time of its own, and nobody is always first.
            let mut ready = Vec::new();
            let start = Instant::now() + PAUSE;
            for turn in 0..rotations.len() {
                let index = (round + turn) % rotations.len();
                let (subject, rotation) = &rotations[index];
                let due = start + SLOT * turn.try_into()?;
                ready.push((index, due, prepare(subject, rotation.outcome, due).await?));
            }
            for (index, due, (script, caller)) in ready {
                rotations[index].1.rounds.push(watch(&script, &caller, due).await?);
            }
        }
        Ok(Rotations(rotations.into_iter().map(|(_, rotation)| rotation).collect()))
    })
}

fn subjects() -> Vec<Subject> {
    let window = |name| match name {
        // Whoever refreshes by a timer of its own, has no reader to hold up.
        "google-cloud-auth" => None,
        "AWS SDK, lazy" => Some(Duration::ZERO),
        _ => Some(Duration::from_secs(300)),
    };
    // The window of the AWS SDK's cache has a jitter that cannot be turned off. Here it has none, and is as due at the expiry.
    let all = peer::all().into_iter().filter(|peer| peer.name() != "AWS SDK, lazy");
    let peers = all.chain([Box::new(NoWindow) as Box<dyn Peer>, Box::new(Nothing)]);
    peers.filter_map(|peer| Some(Subject { name: peer.name(), window: window(peer.name())?, peer })).collect()
}

/// A cache whose token is due for a refresh at `due`, and whose source will by then take its time.
async fn prepare(subject: &Subject, outcome: Outcome, due: Instant) -> anyhow::Result<(Arc<Script>, Arc<dyn Caller>)> {
    let left = due.saturating_duration_since(Instant::now());
    let script = Arc::new(Script::new(Duration::ZERO, Mode::Lives(subject.window + left)));
    let caller = subject.peer.fresh(Arc::clone(&script))?;
    caller.get().await?;
    script.becomes(FETCH, if outcome == Outcome::Success { Mode::Lives(AN_HOUR) } else { Mode::Fails });
    Ok((script, caller))
}

async fn watch(script: &Script, caller: &Arc<dyn Caller>, due: Instant) -> anyhow::Result<Round> {
    let (start, calls) = (due - BEFORE, script.calls());
    sleep_until(start.into()).await;
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(Arc::clone(caller), start))).collect();
    let mut round = Round::new()?;
    for reader in readers {
        round.add(reader.await??)?;
    }
    round.calls = script.calls() - calls;
    Ok(round)
}

/// Reads until the time is over. A read that is not answered by then counts with what it has waited.
async fn read(caller: Arc<dyn Caller>, start: Instant) -> anyhow::Result<Round> {
    let (mut round, end) = (Round::new()?, start + WATCHED);
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(round);
        }
        Core::begins(began);
        let began = Instant::now();
        let mut read = pin!(caller.get());
        let waits = poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending())).await;
        if waits {
            round.waited += 1;
            let _ = timeout_at(end.into(), read).await;
        }
        let (ended, took) = (Instant::now(), began.elapsed());
        // One that waited may have ended on another thread, and had no core because it wanted none.
        let own = if waits { took } else { Core::ends(ended, took) };
        round.record(began.saturating_duration_since(start), took, own);
        tokio::task::yield_now().await;
    }
}

impl Round {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        let timeline = vec![0; WATCHED.as_millis() as usize];
        Ok(Self { latency, own: 0, waited: 0, calls: 0, timeline })
    }

    fn record(&mut self, at: Duration, took: Duration, own: Duration) {
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(ns(took));
        self.own = self.own.max(ns(own));
        if let Some(slowest) = self.timeline.get_mut(at.as_millis() as usize) {
            *slowest = ns(took).max(*slowest);
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency.add(other.latency)?;
        self.own = self.own.max(other.own);
        self.waited += other.waited;
        for (all, one) in self.timeline.iter_mut().zip(other.timeline) {
            *all = one.max(*all);
        }
        Ok(())
    }
}

/// The AWS SDK's cache, when it refreshes at the expiry.
struct NoWindow;

impl Peer for NoWindow {
    fn name(&self) -> &'static str {
        "AWS SDK, lazy"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "with a `buffer_time` of zero"
    }

    fn fresh(&self, script: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        Ok(Arc::new(Lazy::new(IdentityCache::lazy().buffer_time(Duration::ZERO), script)?))
    }
}

/// No cache: what the machine alone does to a reader.
struct Nothing;

impl Peer for Nothing {
    fn name(&self) -> &'static str {
        "nothing at all"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "an answer at once"
    }

    fn fresh(&self, _: Arc<Script>) -> anyhow::Result<Arc<dyn Caller>> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Caller for Nothing {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(0)
    }
}

impl Rotations {
    /// The slowest read of this cache over that of object_store's, each less what it waited for a core.
    pub(crate) fn ratio(&self, outcome: Outcome) -> anyhow::Result<f64> {
        let slowest = |name| {
            let rotation = self.of(outcome).find(|rotation| rotation.name == name);
            rotation.map(|rotation| rotation.own().median).context("not measured")
        };
        Ok(slowest("token-cache")? / slowest("object_store")?)
    }

    pub(crate) fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Rotation> {
        self.0.iter().filter(move |rotation| rotation.outcome == outcome)
    }

    pub(crate) fn json(&self) -> Value {
        let json = |rotation: &Rotation| {
            json!({
                "name": rotation.name,
                "outcome": format!("{:?}", rotation.outcome),
                "slowest_ns": rotation.slowest().median,
                "slowest_own_ns": rotation.own().median,
                "p999_ns": rotation.p999().median,
                "waited": rotation.waited().median,
                "calls": rotation.calls().median,
            })
        };
        self.0.iter().map(json).collect()
    }
}

impl Rotation {
    fn slowest(&self) -> Spread {
        self.spread(|round| round.latency.max())
    }

    fn own(&self) -> Spread {
        self.spread(|round| round.own)
    }

    fn p999(&self) -> Spread {
        self.spread(|round| round.latency.value_at_quantile(0.999))
    }

    fn waited(&self) -> Spread {
        self.spread(|round| round.waited)
    }

    fn calls(&self) -> Spread {
        self.spread(|round| round.calls)
    }

    fn spread(&self, of: impl Fn(&Round) -> u64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| of(round) as f64).collect())
    }

    /// The slowest read of those that began in each millisecond: the median of the rounds, where there was any.
    pub(crate) fn timeline(&self) -> impl Iterator<Item = (f64, f64)> {
        (0..WATCHED.as_millis() as usize).filter_map(|ms| {
            let at = |round: &Round| round.timeline.get(ms).copied().filter(|ns| *ns > 0).map(|ns| ns as f64);
            let slowest = Spread::of(self.rounds.iter().filter_map(at).collect()).median;
            slowest.is_finite().then_some((ms as f64 - BEFORE.as_millis() as f64, slowest))
        })
    }
}

impl fmt::Display for Rotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in [Outcome::Success, Outcome::Failure] {
            writeln!(
                f,
                "What a rotation costs 64 readers, whose source takes 200 ms ({outcome:?}): medians of {ROUNDS} rounds.\n"
            )?;
            writeln!(
                f,
                "| | slowest read (quartiles) | less its wait for a core | p99.9 | reads that waited | source calls |\n|---|---|---|---|---|---|"
            )?;
            for rotation in self.of(outcome) {
                let Spread { low, median, high } = rotation.slowest();
                let own = rotation.own();
                let (p999, waited, calls) = (rotation.p999(), rotation.waited(), rotation.calls());
                writeln!(
                    f,
                    "| {} | {} ({} to {}) | {} ({} to {}) | {} | {} | {} |",
                    rotation.name,
                    time(median),
                    time(low),
                    time(high),
                    time(own.median),
                    time(own.low),
                    time(own.high),
                    time(p999.median),
                    waited.median,
                    calls.median
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
