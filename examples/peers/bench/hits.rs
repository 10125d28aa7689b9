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

/// A read that is measured.
struct Case {
    name: &'static str,
    note: String,
    sampler: Sampler,
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
    rows: Vec<Row>,
    ratios: BTreeMap<&'static str, Quartiles>,
}

/// The times of one case, by the number of tasks.
struct Row {
    name: &'static str,
    note: String,
    times: BTreeMap<usize, Quartiles>,
}

/// A case with a number of tasks: its calibration and its samples.
struct Series {
    reads: usize,
    samples: Vec<f64>,
}

/// What is measured in one turn of a round.
#[derive(Clone, Copy)]
enum Turn<'a> {
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

async fn run(cases: Vec<Case>, tasks: &[usize], comparisons: &[Comparison], rounds: usize) -> anyhow::Result<Hits> {
    let mut series = BTreeMap::new();
    let mut turns: Vec<_> = comparisons.iter().map(Turn::Pair).collect();
    for case in &cases {
        for &tasks in tasks {
            series.insert((case.name, tasks), Series::calibrate(case, tasks).await?);
            let in_a_pair = |comparison: &Comparison| {
                comparison.tasks == tasks && [comparison.case, comparison.reference].contains(&case.name)
            };
            if !comparisons.iter().any(in_a_pair) {
                turns.push(Turn::Single(case.name, tasks));
            }
        }
    }
    let mut ratios = BTreeMap::<_, Vec<_>>::new();
    for round in 0..rounds {
        // Every round starts at another turn, so that a turn does not always follow the same one.
        let first = round * 7 % turns.len();
        for index in (first..turns.len()).chain(0..first) {
            match turns[index] {
                Turn::Single(name, tasks) => {
                    sample(&cases, &mut series, name, tasks).await?;
                }
                Turn::Pair(&Comparison { key, case, reference, tasks }) => {
                    let ratio = if round % 2 == 0 {
                        let time = sample(&cases, &mut series, case, tasks).await?;
                        time / sample(&cases, &mut series, reference, tasks).await?
                    } else {
                        let reference = sample(&cases, &mut series, reference, tasks).await?;
                        sample(&cases, &mut series, case, tasks).await? / reference
                    };
                    ratios.entry(key).or_default().push(ratio);
                }
            }
        }
    }
    let row = |Case { name, note, .. }| {
        let time = |&tasks: &usize| (tasks, Quartiles::of(series[&(name, tasks)].samples.iter().copied()));
        Row { name, note, times: tasks.iter().map(time).collect() }
    };
    let ratios = ratios.into_iter().map(|(key, ratios)| (key, Quartiles::of(ratios))).collect();
    Ok(Hits { rows: cases.into_iter().map(row).collect(), ratios })
}

async fn sample(
    cases: &[Case],
    series: &mut BTreeMap<(&'static str, usize), Series>,
    name: &'static str,
    tasks: usize,
) -> anyhow::Result<f64> {
    let case = cases.iter().find(|case| case.name == name).context("unknown case")?;
    let series = series.get_mut(&(name, tasks)).context("unknown series")?;
    let ns = (case.sampler)(tasks, series.reads).await?;
    series.samples.push(ns);
    Ok(ns)
}

impl Series {
    /// Finds the number of reads that take [`SAMPLE`].
    async fn calibrate(case: &Case, tasks: usize) -> anyhow::Result<Self> {
        let reads = |ns: f64| ((SAMPLE.as_nanos() as f64 / ns.max(1.0)) as usize / tasks.div_ceil(2)).max(20);
        let ns = (case.sampler)(tasks, 20_000 / tasks).await?;
        let ns = (case.sampler)(tasks, reads(ns)).await?.min(ns);
        Ok(Self { reads: reads(ns), samples: Vec::new() })
    }
}

async fn cases(handle: &Handle, threads: usize) -> anyhow::Result<Vec<Case>> {
    let package = |name| format!("{name} {}", version(name).unwrap_or_default());
    macro_rules! case {
        ($name:literal, $note:expr, $reader:expr) => {
            Case { name: $name, note: $note.into(), sampler: sampler(handle, threads, $reader) }
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
        self.rows.iter().find(|row| row.name == name)?.times.get(&tasks).copied()
    }

    /// The ratio of a comparison: the quartiles of the ratios of all rounds.
    pub(crate) fn ratio(&self, key: &str) -> anyhow::Result<Quartiles> {
        self.ratios.get(key).copied().with_context(|| format!("{key} was not measured"))
    }

    pub(crate) fn json(&self) -> Value {
        let times = |row: &Row| {
            row.times.iter().map(|(tasks, time)| (tasks.to_string(), json!(time.median))).collect::<Map<_, _>>()
        };
        self.rows.iter().map(|row| (row.name.to_owned(), json!(times(row)))).collect::<Map<_, _>>().into()
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The time of a hit: median (first to third quartile). One task: CPU time. More: wall time of a core.\n"
        )?;
        writeln!(f, "| | 1 task | 2 tasks | 64 tasks on 2 threads | |\n|---|---|---|---|---|")?;
        for Row { name, note, times } in &self.rows {
            write!(f, "| {name} |")?;
            for time in times.values() {
                write!(f, " {time} |")?;
            }
            writeln!(f, " {note} |")?;
        }
        Ok(())
    }
}
