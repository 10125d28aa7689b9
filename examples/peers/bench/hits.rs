//! The time of a hit: with one task, with two tasks at once, and with 64 tasks on two threads.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::environment::version;
use crate::readers::{
    ArcClone, ArcSwapAndClock, ArcSwapLoad, GoogleCredentials, MokaEntry, NativeGet, NativePeek, NativeView, Provider,
    SdkExpiringCache, SdkIdentityCache, Step, allocate, coarse_clock, precise_clocks,
};
use crate::sample::{Sampler, sampler};
use crate::stats::Quartiles;

/// A read that is measured, and its samples by the number of tasks.
struct Case {
    name: &'static str,
    note: String,
    sampler: Sampler,
    series: BTreeMap<usize, Series>,
}

struct Series {
    /// The reads of each task in a sample.
    reads: usize,
    /// Nanoseconds of one read.
    samples: Vec<f64>,
}

/// The time of one case as a multiple of the time of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) key: &'static str,
    pub(crate) case: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) tasks: usize,
}

pub(crate) struct Hits {
    cases: Vec<Case>,
    ratios: BTreeMap<&'static str, Quartiles>,
}

/// One measurement of a round.
#[derive(Clone, Copy)]
enum Measurement<'a> {
    /// The case and the reference, one directly after the other, so that a change in the machine's load affects both.
    Pair(&'a Comparison),
    Single(&'static str, usize),
}

const TASKS: [usize; 3] = [1, 2, 64];

/// The duration of a sample.
const SAMPLE: Duration = Duration::from_millis(3);

pub(crate) fn measure(runtime: &Runtime, comparisons: &[Comparison], rounds: usize) -> anyhow::Result<Hits> {
    let cases = runtime.block_on(cases(runtime.handle(), 2))?;
    runtime.block_on(run(cases, &TASKS, comparisons, rounds))
}

/// Measures all cases with one task on each of `threads` threads.
pub(crate) fn with_threads(threads: usize) -> anyhow::Result<Hits> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let cases = runtime.block_on(cases(runtime.handle(), threads))?;
    runtime.block_on(run(cases, &[threads], &[], 9))
}

async fn run(mut cases: Vec<Case>, tasks: &[usize], comparisons: &[Comparison], rounds: usize) -> anyhow::Result<Hits> {
    let mut measurements: Vec<_> = comparisons.iter().map(Measurement::Pair).collect();
    for case in &mut cases {
        for &tasks in tasks {
            case.calibrate(tasks).await?;
            let in_a_pair = |comparison: &Comparison| {
                comparison.tasks == tasks && [comparison.case, comparison.reference].contains(&case.name)
            };
            if !comparisons.iter().any(in_a_pair) {
                measurements.push(Measurement::Single(case.name, tasks));
            }
        }
    }
    let mut ratios = BTreeMap::<_, Vec<_>>::new();
    for round in 0..rounds {
        // Each round starts at another index, so that no measurement always follows the same one.
        let first = round * 7 % measurements.len();
        for index in (first..measurements.len()).chain(0..first) {
            match measurements[index] {
                Measurement::Single(name, tasks) => {
                    sample(&mut cases, name, tasks).await?;
                }
                Measurement::Pair(&Comparison { key, case, reference, tasks }) => {
                    let ratio = if round % 2 == 0 {
                        let time = sample(&mut cases, case, tasks).await?;
                        time / sample(&mut cases, reference, tasks).await?
                    } else {
                        let reference = sample(&mut cases, reference, tasks).await?;
                        sample(&mut cases, case, tasks).await? / reference
                    };
                    ratios.entry(key).or_default().push(ratio);
                }
            }
        }
    }
    let ratios = ratios.into_iter().map(|(key, ratios)| (key, Quartiles::of(ratios))).collect();
    Ok(Hits { cases, ratios })
}

async fn sample(cases: &mut [Case], name: &str, tasks: usize) -> anyhow::Result<f64> {
    let case = cases.iter_mut().find(|case| case.name == name).with_context(|| format!("no case: {name}"))?;
    let series = case.series.get_mut(&tasks).with_context(|| format!("{name} is not measured with {tasks} tasks"))?;
    let ns = (case.sampler)(tasks, series.reads).await?;
    series.samples.push(ns);
    Ok(ns)
}

impl Case {
    /// Finds the number of reads that take [`SAMPLE`].
    async fn calibrate(&mut self, tasks: usize) -> anyhow::Result<()> {
        let reads = |ns: f64| ((SAMPLE.as_nanos() as f64 / ns.max(1.0)) as usize / tasks.div_ceil(2)).max(20);
        let ns = (self.sampler)(tasks, 20_000 / tasks).await?;
        let ns = (self.sampler)(tasks, reads(ns)).await?.min(ns);
        self.series.insert(tasks, Series { reads: reads(ns), samples: Vec::new() });
        Ok(())
    }

    /// The times by the number of tasks.
    fn times(&self) -> impl Iterator<Item = (usize, Quartiles)> {
        self.series.iter().map(|(tasks, series)| (*tasks, Quartiles::of(series.samples.iter().copied())))
    }
}

async fn cases(handle: &Handle, threads: usize) -> anyhow::Result<Vec<Case>> {
    let package = |name| format!("{name} {}", version(name).unwrap_or_default());
    macro_rules! case {
        ($name:literal, $note:expr, $reader:expr) => {
            Case {
                name: $name,
                note: $note.into(),
                sampler: sampler(handle, threads, $reader),
                series: BTreeMap::new(),
            }
        };
    }
    Ok(vec![
        case!("token-cache", "through `dyn CredentialProvider`", Provider::fresh().await?),
        case!("token-cache, near expiry", "the same, while a refresh is in flight", Provider::near_expiry().await?),
        case!("static", "`StaticCredentialProvider`: no cache", Provider::without_cache()),
        case!("object_store", format!("{}, its own cache", package("object_store")), Provider::object_store().await?),
        case!("hand-written", "a mutex and the wall clock, as a provider", Provider::hand_written().await?),
        case!("AWS SDK, ExpiringCache", package("aws-smithy-runtime"), SdkExpiringCache::new().await?),
        case!("AWS SDK, identity cache", package("aws-smithy-runtime"), SdkIdentityCache::new().await?),
        case!("moka", format!("{}, `try_get_with`", package("moka")), MokaEntry::new().await),
        case!(
            "google-cloud-auth",
            format!("{}, `access_token`", package("google-cloud-auth")),
            GoogleCredentials::new().await?
        ),
        case!("native get", "`TokenCache::get`", NativeGet::new().await?),
        case!("native peek", "`TokenCache::peek`", NativePeek::new().await?),
        case!("native view", "`View::get`", NativeView::new().await?),
        case!("arc-swap and a clock", "`load_full` and one read of the coarse clock", ArcSwapAndClock::new()),
        case!("step: coarse clock", "one read", Step(coarse_clock)),
        case!("step: precise clocks", "`Instant::now` and `SystemTime::now`", Step(precise_clocks)),
        case!("step: Arc", "a clone and its drop", ArcClone::new()),
        case!("step: arc-swap", "`load`", ArcSwapLoad::new()),
        case!("step: box", "an allocation of 8 bytes and its release", Step(allocate)),
    ])
}

impl Hits {
    pub(crate) fn time(&self, name: &str, tasks: usize) -> Option<Quartiles> {
        let case = self.cases.iter().find(|case| case.name == name)?;
        case.times().find_map(|(of, time)| (of == tasks).then_some(time))
    }

    /// The ratio of a comparison: the quartiles of the ratios of all rounds.
    pub(crate) fn ratio(&self, key: &str) -> anyhow::Result<Quartiles> {
        self.ratios.get(key).copied().with_context(|| format!("{key} was not measured"))
    }

    pub(crate) fn json(&self) -> Value {
        let times = |case: &Case| {
            case.times().map(|(tasks, time)| (tasks.to_string(), json!(time.median))).collect::<Map<_, _>>()
        };
        self.cases.iter().map(|case| (case.name.to_owned(), json!(times(case)))).collect::<Map<_, _>>().into()
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The time of a hit: median (quartiles). With one task, CPU time; with more, wall time of a core.\n"
        )?;
        writeln!(f, "| | 1 task | 2 tasks | 64 tasks on 2 threads | |\n|---|---|---|---|---|")?;
        for case in &self.cases {
            write!(f, "| {} |", case.name)?;
            for (_, time) in case.times() {
                write!(f, " {time} |")?;
            }
            writeln!(f, " {} |", case.note)?;
        }
        Ok(())
    }
}
