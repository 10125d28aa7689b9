//! [`Sampler`]: measures the time of one read in a run of concurrent tasks.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::environment;
use crate::readers::Read;

/// Runs a number of tasks with a number of reads each. Returns the nanoseconds of one read.
pub(crate) type Sampler = Box<dyn Fn(usize, usize) -> BoxFuture<'static, anyhow::Result<f64>> + Send + Sync>;

/// The reads of one task.
struct TaskTime {
    start: Instant,
    end: Instant,
    /// The CPU time of the thread. `None` if the task moved to another thread.
    cpu: Option<Duration>,
}

/// The times of all tasks of a sample.
#[derive(Clone, Copy)]
struct Attempt {
    elapsed: Duration,
    /// The part of it for which all tasks ran.
    overlap: f64,
}

/// How often a sample is taken until its tasks run at the same time.
const ATTEMPTS: usize = 10;

/// A sampler for `reader` on a runtime with `threads` worker threads.
///
/// For one task the result is CPU time, which leaves out the time for which another process had the core. For more tasks,
/// some of which may wait for a lock, it is wall time multiplied by the number of cores in use.
pub(crate) fn sampler<R: Read>(handle: &Handle, threads: usize, reader: R) -> Sampler {
    let (handle, reader) = (handle.clone(), Arc::new(reader));
    Box::new(move |tasks, reads| {
        let (handle, reader) = (handle.clone(), Arc::clone(&reader));
        Box::pin(async move {
            let cores = tasks.min(threads).min(environment::cores());
            let mut best: Option<Attempt> = None;
            for _ in 0..ATTEMPTS {
                let times = run(&handle, threads, &reader, tasks, reads).await?;
                if let [TaskTime { cpu: Some(cpu), .. }] = times[..] {
                    return Ok(cpu.as_nanos() as f64 / reads as f64);
                }
                let attempt = Attempt::new(&times).context("no task")?;
                if best.is_none_or(|best| attempt.overlap > best.overlap) {
                    best = Some(attempt);
                }
                // With a core for each task, they overlap unless another process had one of the cores.
                if tasks != cores || attempt.overlap >= 0.8 {
                    break;
                }
            }
            let elapsed = best.context("no attempt")?.elapsed;
            Ok(elapsed.as_nanos() as f64 * cores as f64 / (tasks * reads) as f64)
        })
    })
}

impl Attempt {
    /// `None` without tasks.
    fn new(times: &[TaskTime]) -> Option<Self> {
        let (starts, ends) = (times.iter().map(|time| time.start), times.iter().map(|time| time.end));
        let elapsed = ends.clone().max()? - starts.clone().min()?;
        let together = ends.min()?.saturating_duration_since(starts.max()?);
        Some(Self { elapsed, overlap: together.as_secs_f64() / elapsed.as_secs_f64() })
    }
}

async fn run<R: Read>(
    handle: &Handle,
    threads: usize,
    reader: &Arc<R>,
    tasks: usize,
    reads: usize,
) -> anyhow::Result<Vec<TaskTime>> {
    // Blocks a worker thread for each task, so it needs as many threads as tasks.
    let barrier = (tasks <= threads).then(|| Arc::new(Barrier::new(tasks)));
    let spawn = |barrier: Option<Arc<Barrier>>| {
        let reader = Arc::clone(reader);
        // Without tokio's cooperative budget: a cache that uses it would yield, and move to another thread, every 128 reads.
        handle.spawn(unconstrained(async move {
            // Leaves out what only the first read of a thread does.
            reader.read().await;
            if let Some(barrier) = barrier {
                barrier.wait();
            }
            let (thread, start, start_cpu) = (thread::current().id(), Instant::now(), thread_cpu_time());
            for read in 1..=reads {
                reader.read().await;
                if read % 64 == 0 && tasks > threads {
                    tokio::task::yield_now().await;
                }
            }
            let (end_cpu, end) = (thread_cpu_time(), Instant::now());
            let same_thread = thread::current().id() == thread;
            TaskTime { start, end, cpu: same_thread.then(|| end_cpu.saturating_sub(start_cpu)) }
        }))
    };
    let tasks: Vec<_> = (0..tasks).map(|_| spawn(barrier.clone())).collect();
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await?);
    }
    Ok(times)
}

fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
