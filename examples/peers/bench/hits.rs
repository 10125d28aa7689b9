//! What a hit costs: one task, two at once, and 64 on two threads.

use std::fmt;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::machine;
use crate::reader::{Bare, Entry, Expiring, Get, Google, Identities, Peek, Provider, Read, Seen};
use crate::stats::{Spread, time};

/// One thing that is measured.
struct Case {
    name: &'static str,
    note: String,
    sample: Sample,
}

/// With so many tasks of so many reads each: nanoseconds for a read.
type Sample = Box<dyn Fn(usize, usize) -> Pin<Box<dyn Future<Output = anyhow::Result<f64>> + Send>> + Send>;

/// By case and by tasks.
pub(crate) struct Hits(Vec<Row>);

/// A case, what it is, and what it took by tasks.
type Row = (&'static str, String, Vec<(usize, Spread)>);

/// 64 share two threads.
const TASKS: [usize; 3] = [1, 2, 64];

/// What a sample takes.
const SPAN: Duration = Duration::from_millis(3);

/// How often tasks are let loose until they read at once. A machine that is too busy for that gives what it gives.
const TRIES: usize = 10;

pub(crate) fn measure(runtime: &Runtime, rounds: usize) -> anyhow::Result<Hits> {
    let cases = runtime.block_on(cases(runtime.handle(), 2))?;
    rounds_of(runtime, &cases, &TASKS, rounds)
}

/// The same for as many threads, each with a task of its own.
pub(crate) fn by_threads(threads: usize) -> anyhow::Result<Hits> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let cases = runtime.block_on(cases(runtime.handle(), threads))?;
    rounds_of(&runtime, &cases, &[threads], 9)
}

fn rounds_of(runtime: &Runtime, cases: &[Case], tasks: &[usize], rounds: usize) -> anyhow::Result<Hits> {
    runtime.block_on(async {
        let mut measured = Vec::new();
        for case in cases {
            for tasks in tasks.iter().copied() {
                // How many reads fit.
                let ns = (case.sample)(tasks, 20_000 / tasks).await?;
                let ns = (case.sample)(tasks, reads(ns, tasks)).await?.min(ns);
                measured.push((case, tasks, reads(ns, tasks), Vec::new()));
            }
        }
        for round in 0..rounds {
            // Nobody is always measured after the same one.
            let start = round * 7 % measured.len();
            for turn in 0..measured.len() {
                let index = (start + turn) % measured.len();
                let (case, tasks, reads, samples) = &mut measured[index];
                samples.push((case.sample)(*tasks, *reads).await?);
            }
        }
        let mut hits: Vec<(_, _, Vec<_>)> = Vec::new();
        for (case, tasks, _, samples) in measured {
            let spread = (tasks, Spread::of(samples));
            match hits.last_mut().filter(|(name, _, _)| *name == case.name) {
                Some((_, _, spreads)) => spreads.push(spread),
                None => hits.push((case.name, case.note.clone(), vec![spread])),
            }
        }
        Ok(Hits(hits))
    })
}

fn reads(ns: f64, tasks: usize) -> usize {
    ((SPAN.as_nanos() as f64 / ns.max(1.0)) as usize / tasks.div_ceil(2)).max(20)
}

async fn cases(handle: &Handle, threads: usize) -> anyhow::Result<Vec<Case>> {
    let case = |name, note: &str, reader| Case { name, note: note.to_owned(), sample: reader };
    let of = |package| format!("{package} {}", machine::version(package).unwrap_or_default());
    macro_rules! case {
        ($name:literal, $note:expr, $reader:expr) => {
            case($name, &$note, sample(handle, threads, $reader))
        };
    }
    Ok(vec![
        case!("token-cache", "through `dyn CredentialProvider`", Provider::fresh().await?),
        case!("token-cache, near expiry", "the same, while a refresh is in flight", Provider::near_expiry().await?),
        case!("static", "`StaticCredentialProvider`: no cache at all", Provider::fixed()),
        case!("object_store", format!("{}, its own cache", of("object_store")), Provider::object_store().await?),
        case!("seed", "a mutex and the wall clock, as a provider", Provider::seed().await?),
        case!("AWS SDK, ExpiringCache", of("aws-smithy-runtime"), Expiring::new().await?),
        case!("AWS SDK, identity cache", of("aws-smithy-runtime"), Identities::new().await?),
        case!("moka", format!("{}, `try_get_with`", of("moka")), Entry::new().await),
        case!("google-cloud-auth", format!("{}, `access_token`", of("google-cloud-auth")), Google::new().await?),
        case!("native get", "`TokenCache::get`", Get::new().await?),
        case!("native peek", "`TokenCache::peek`", Peek::new().await?),
        case!("native view", "`View::get`", Seen::new().await?),
        case!("arc-swap and a clock", "`load_full` and one read of the coarse clock", Bare::new()),
        case!("step: coarse clock", "one read", Step(coarse_clock)),
        case!("step: two clocks", "`Instant::now`, `SystemTime::now`", Step(two_clocks)),
        case!("step: Arc", "cloned and dropped", Cloned(Arc::new(0))),
        case!("step: arc-swap", "`load`", Loaded(ArcSwap::from_pointee(0))),
        case!("step: box", "made and freed", Step(|| drop(black_box(Box::new(0_u64))))),
    ])
}

struct Step(fn());
struct Cloned(Arc<u64>);
struct Loaded(ArcSwap<u64>);

impl Read for Step {
    async fn read(&self) {
        self.0();
    }
}

impl Read for Cloned {
    async fn read(&self) {
        black_box(Arc::clone(&self.0));
    }
}

impl Read for Loaded {
    async fn read(&self) {
        black_box(**self.0.load());
    }
}

fn coarse_clock() {
    black_box(clock_gettime(ClockId::MonotonicCoarse));
}

fn two_clocks() {
    black_box((Instant::now(), SystemTime::now()));
}

fn sample<R: Read>(handle: &Handle, threads: usize, reader: R) -> Sample {
    let (handle, reader) = (handle.clone(), Arc::new(reader));
    Box::new(move |tasks, reads| {
        let (handle, reader) = (handle.clone(), Arc::clone(&reader));
        Box::pin(async move {
            let cores = tasks.min(threads).min(machine::cores());
            let mut tries = 0;
            loop {
                tries += 1;
                let spans = spans(&handle, threads, &reader, tasks, reads).await?;
                let began = spans.iter().map(|(began, _)| *began);
                let ended = spans.iter().map(|(_, ended)| *ended);
                let (first, all_began) = (began.clone().min().context("no task")?, began.max().context("no task")?);
                let (one_ended, last) = (ended.clone().min().context("no task")?, ended.max().context("no task")?);
                let span = last - first;
                // With a core for each, all should have read at once: if not, something else had one of the cores.
                if tries < TRIES && tasks == cores && one_ended.saturating_duration_since(all_began) < span * 4 / 5 {
                    continue;
                }
                return Ok(span.as_nanos() as f64 * cores as f64 / (tasks * reads) as f64);
            }
        })
    })
}

/// When each task began to read and when it was done.
async fn spans<R: Read>(
    handle: &Handle,
    threads: usize,
    reader: &Arc<R>,
    tasks: usize,
    reads: usize,
) -> anyhow::Result<Vec<(Instant, Instant)>> {
    // One task for each thread, so that those may be stopped until all are there.
    let gate = (tasks <= threads).then(|| Arc::new(Barrier::new(tasks)));
    let read = |gate: Option<Arc<Barrier>>| {
        let reader = Arc::clone(reader);
        handle.spawn(async move {
            // The first read of a thread is not what is measured.
            reader.read().await;
            if let Some(gate) = gate {
                gate.wait();
            }
            let began = Instant::now();
            for read in 1..=reads {
                reader.read().await;
                if read % 64 == 0 && tasks > threads {
                    tokio::task::yield_now().await;
                }
            }
            (began, Instant::now())
        })
    };
    let tasks: Vec<_> = (0..tasks).map(|_| read(gate.clone())).collect();
    let mut spans = Vec::new();
    for task in tasks {
        spans.push(task.await?);
    }
    Ok(spans)
}

impl Hits {
    pub(crate) fn spread(&self, name: &str, tasks: usize) -> Option<Spread> {
        let (_, _, spreads) = self.0.iter().find(|(case, _, _)| *case == name)?;
        spreads.iter().find(|(of, _)| *of == tasks).map(|(_, spread)| *spread)
    }

    pub(crate) fn ratio(&self, one: &str, other: &str, tasks: usize) -> anyhow::Result<f64> {
        let median = |name| self.spread(name, tasks).map(|spread| spread.median);
        Ok(median(one).context("not measured")? / median(other).context("not measured")?)
    }

    pub(crate) fn json(&self) -> Value {
        let spreads = |spreads: &[(usize, Spread)]| {
            spreads.iter().map(|(tasks, spread)| (tasks.to_string(), json!(spread.median))).collect::<Map<_, _>>()
        };
        self.0
            .iter()
            .map(|(name, _, by_tasks)| ((*name).to_owned(), json!(spreads(by_tasks))))
            .collect::<Map<_, _>>()
            .into()
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "What a hit costs: median (quartiles).\n\n| | 1 task | 2 tasks | 64 tasks on 2 threads | |\n|---|---|---|---|---|"
        )?;
        for (name, note, spreads) in &self.0 {
            write!(f, "| {name} |")?;
            for (_, Spread { low, median, high }) in spreads {
                write!(f, " {} ({low:.1} to {high:.1}) |", time(*median))?;
            }
            writeln!(f, " {note} |")?;
        }
        Ok(())
    }
}
