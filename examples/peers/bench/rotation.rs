//! The time of reads during a rotation: 64 readers read in a loop while the token becomes due for a refresh, and the
//! source takes 200 ms to answer or to fail.

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

use crate::peer::smithy::LazyIdentityCache;
use crate::peer::{self, Peer, PeerCache};
use crate::run_delay;
use crate::source::{Behavior, HOUR, ScriptedSource};
use crate::stats::Quartiles;

/// The result of the refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshResult {
    Success,
    Failure,
}

/// A cache that is measured, and the remaining lifetime at which it refreshes.
struct Subject {
    name: &'static str,
    peer: Box<dyn Peer>,
    refresh_window: Duration,
}

pub(crate) struct Rotations(Vec<Rotation>);

/// All rounds of one cache with one result of the refresh.
pub(crate) struct Rotation {
    pub(crate) name: &'static str,
    result: RefreshResult,
    rounds: Vec<Round>,
}

struct Round {
    latency: Histogram<u64>,
    /// The slowest read without its run delay, in nanoseconds.
    slowest_without_run_delay: u64,
    /// Reads that were not ready at their first poll.
    waited: u64,
    calls: u64,
    /// The slowest read that was under way in each millisecond, in nanoseconds.
    timeline: Vec<u64>,
}

const ROUNDS: usize = 15;
const READERS: usize = 64;

/// The duration of a source call.
const SOURCE_DELAY: Duration = Duration::from_millis(200);

/// The readers start this long before the token is due for a refresh.
const LEAD: Duration = Duration::from_millis(50);

/// How long the readers read.
const OBSERVATION: Duration = Duration::from_millis(350);

/// The time for one cache. Longer than its readers read, so that those of two caches do not overlap.
const SLOT: Duration = Duration::from_millis(400);

/// Exceeds the minimum refresh interval of every cache.
const PAUSE: Duration = Duration::from_millis(1150);

pub(crate) fn measure(runtime: &Runtime) -> anyhow::Result<Rotations> {
    let subjects = subjects();
    let mut rotations: Vec<_> = [RefreshResult::Success, RefreshResult::Failure]
        .into_iter()
        .flat_map(|result| subjects.iter().map(move |subject| (subject, result)))
        .map(|(subject, result)| (subject, Rotation { name: subject.name, result, rounds: Vec::new() }))
        .collect();
    runtime.block_on(async {
        for round in 0..ROUNDS {
            // All caches are prepared together, each to be due at its own time. Every round starts with another cache.
            let mut prepared = Vec::new();
            let start = Instant::now() + PAUSE;
            for slot in 0..rotations.len() {
                let index = (round + slot) % rotations.len();
                let (subject, rotation) = &rotations[index];
                let due = start + SLOT * slot.try_into()?;
                prepared.push((index, due, prepare(subject, rotation.result, due).await?));
            }
            for (index, due, (source, cache)) in prepared {
                rotations[index].1.rounds.push(observe(&source, &cache, due).await?);
            }
        }
        Ok(Rotations(rotations.into_iter().map(|(_, rotation)| rotation).collect()))
    })
}

fn subjects() -> Vec<Subject> {
    let refresh_window = |name| match name {
        // It refreshes by a timer, so that no read is involved in a refresh.
        "google-cloud-auth" => None,
        "AWS SDK, lazy" => Some(Duration::ZERO),
        _ => Some(Duration::from_secs(300)),
    };
    // The AWS SDK draws its refresh window at random from 5 s to 10 s. `NoBufferTime` makes the time of the refresh known.
    let published = peer::all().into_iter().filter(|peer| peer.name() != "AWS SDK, lazy");
    let peers = published.chain([Box::new(NoBufferTime) as Box<dyn Peer>, Box::new(NoCache)]);
    let subject =
        |peer: Box<dyn Peer>| Some(Subject { name: peer.name(), refresh_window: refresh_window(peer.name())?, peer });
    peers.filter_map(subject).collect()
}

/// A cache whose token is due for a refresh at `due`.
async fn prepare(
    subject: &Subject,
    result: RefreshResult,
    due: Instant,
) -> anyhow::Result<(Arc<ScriptedSource>, Arc<dyn PeerCache>)> {
    let lifetime = subject.refresh_window + due.saturating_duration_since(Instant::now());
    let source = Arc::new(ScriptedSource::new(Duration::ZERO, Behavior::Issue(lifetime)));
    let cache = subject.peer.build(Arc::clone(&source))?;
    cache.get().await?;
    let refresh = match result {
        RefreshResult::Success => Behavior::Issue(HOUR),
        RefreshResult::Failure => Behavior::Fail,
    };
    source.set_behavior(SOURCE_DELAY, refresh);
    Ok((source, cache))
}

async fn observe(source: &ScriptedSource, cache: &Arc<dyn PeerCache>, due: Instant) -> anyhow::Result<Round> {
    let (start, calls) = (due - LEAD, source.calls());
    sleep_until(start.into()).await;
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(Arc::clone(cache), start))).collect();
    let mut round = Round::new()?;
    for reader in readers {
        round.add(reader.await??)?;
    }
    round.calls = source.calls() - calls;
    Ok(round)
}

/// One reader. A read that has not ended when the observation does counts with the time that it has taken until then.
async fn read(cache: Arc<dyn PeerCache>, observation: Instant) -> anyhow::Result<Round> {
    let (mut round, observation_end) = (Round::new()?, observation + OBSERVATION);
    loop {
        let start = Instant::now();
        if start >= observation_end {
            return Ok(round);
        }
        run_delay::start(start);
        let start = Instant::now();
        let mut read = pin!(cache.get());
        let waits = poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending())).await;
        if waits {
            round.waited += 1;
            let _ = timeout_at(observation_end.into(), read).await;
        }
        let end = Instant::now();
        let took = end - start;
        // A read that waited may have ended on another thread.
        let without_run_delay = if waits { took } else { run_delay::subtract(end, took) };
        round.record(start.saturating_duration_since(observation), took, without_run_delay);
        tokio::task::yield_now().await;
    }
}

impl Round {
    fn new() -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        let timeline = vec![0; OBSERVATION.as_millis() as usize];
        Ok(Self { latency, slowest_without_run_delay: 0, waited: 0, calls: 0, timeline })
    }

    fn record(&mut self, at: Duration, took: Duration, without_run_delay: Duration) {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(ns(took));
        self.slowest_without_run_delay = self.slowest_without_run_delay.max(ns(without_run_delay));
        // In each millisecond in which it was under way: a read that waits is as slow at its end as at its start.
        let (start, end) = (at.as_millis() as usize, (at + took).as_millis() as usize);
        for slowest in self.timeline.iter_mut().take(end + 1).skip(start) {
            *slowest = ns(took).max(*slowest);
        }
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency.add(other.latency)?;
        self.slowest_without_run_delay = self.slowest_without_run_delay.max(other.slowest_without_run_delay);
        self.waited += other.waited;
        for (slowest, other) in self.timeline.iter_mut().zip(other.timeline) {
            *slowest = other.max(*slowest);
        }
        Ok(())
    }
}

/// The AWS SDK's cache with a `buffer_time` of zero: it refreshes when the token expires.
struct NoBufferTime;

impl Peer for NoBufferTime {
    fn name(&self) -> &'static str {
        "AWS SDK, lazy"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "with a `buffer_time` of zero"
    }

    fn build(&self, source: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        Ok(Arc::new(LazyIdentityCache::new(IdentityCache::lazy().buffer_time(Duration::ZERO), source)?))
    }
}

/// Returns a constant: shows what the machine does to a read.
struct NoCache;

impl Peer for NoCache {
    fn name(&self) -> &'static str {
        "no cache"
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn note(&self) -> &'static str {
        "a constant"
    }

    fn build(&self, _: Arc<ScriptedSource>) -> anyhow::Result<Arc<dyn PeerCache>> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl PeerCache for NoCache {
    async fn get(&self) -> anyhow::Result<usize> {
        Ok(0)
    }
}

impl Rotations {
    /// The slowest read of this cache divided by that of object_store's cache in the same round, both without run delay.
    pub(crate) fn ratio(&self, result: RefreshResult) -> anyhow::Result<Quartiles> {
        let rounds = |name| {
            let rotation = self.with_result(result).find(|rotation| rotation.name == name);
            rotation.map(|rotation| &rotation.rounds).with_context(|| format!("{name} was not measured"))
        };
        let rounds = rounds("token-cache")?.iter().zip(rounds("object_store")?);
        Ok(Quartiles::of(rounds.map(|(case, reference)| {
            case.slowest_without_run_delay as f64 / reference.slowest_without_run_delay as f64
        })))
    }

    pub(crate) fn with_result(&self, result: RefreshResult) -> impl Iterator<Item = &Rotation> {
        self.0.iter().filter(move |rotation| rotation.result == result)
    }

    pub(crate) fn json(&self) -> Value {
        let json = |rotation: &Rotation| {
            json!({
                "name": rotation.name,
                "result": format!("{:?}", rotation.result),
                "slowest_ns": rotation.slowest().median,
                "slowest_without_run_delay_ns": rotation.slowest_without_run_delay().median,
                "p999_ns": rotation.p999().median,
                "waited": rotation.waited().median,
                "calls": rotation.calls().median,
            })
        };
        self.0.iter().map(json).collect()
    }
}

impl Rotation {
    fn slowest(&self) -> Quartiles {
        self.quartiles(|round| round.latency.max())
    }

    fn slowest_without_run_delay(&self) -> Quartiles {
        self.quartiles(|round| round.slowest_without_run_delay)
    }

    fn p999(&self) -> Quartiles {
        self.quartiles(|round| round.latency.value_at_quantile(0.999))
    }

    fn waited(&self) -> Quartiles {
        self.quartiles(|round| round.waited)
    }

    fn calls(&self) -> Quartiles {
        self.quartiles(|round| round.calls)
    }

    fn quartiles(&self, value: impl Fn(&Round) -> u64) -> Quartiles {
        Quartiles::of(self.rounds.iter().map(|round| value(round) as f64))
    }

    /// For each millisecond since the token was due, the slowest read that was under way in it, in nanoseconds: the median of
    /// the rounds. Leaves out milliseconds without a read.
    pub(crate) fn timeline(&self) -> impl Iterator<Item = (f64, f64)> {
        (0..OBSERVATION.as_millis() as usize).filter_map(|ms| {
            let slowest = |round: &Round| round.timeline.get(ms).copied().filter(|ns| *ns > 0).map(|ns| ns as f64);
            let median = Quartiles::of(self.rounds.iter().filter_map(slowest)).median;
            median.is_finite().then_some((ms as f64 - LEAD.as_millis() as f64, median))
        })
    }
}

impl fmt::Display for Rotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (result, what) in [(RefreshResult::Success, "answers"), (RefreshResult::Failure, "fails")] {
            writeln!(f, "A rotation with 64 readers, whose source {what} after 200 ms: medians of {ROUNDS} rounds.\n")?;
            writeln!(
                f,
                "| | slowest read (quartiles) | without run delay | p99.9 | reads that waited | source calls |"
            )?;
            writeln!(f, "|---|---|---|---|---|---|")?;
            for rotation in self.with_result(result) {
                writeln!(
                    f,
                    "| {} | {} | {} | {} | {} | {} |",
                    rotation.name,
                    rotation.slowest(),
                    rotation.slowest_without_run_delay(),
                    rotation.p999(),
                    rotation.waited().median,
                    rotation.calls().median
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
