//! A run in the environment that is there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use token_cache_aws::{AwsTokenCache, SdkSource, builder, defaults};
use token_cache_core::Event;

use crate::report::{Latency, Raw, Report, Rotation};
use crate::timed::{Timed, as_nanos, unix_millis};
use crate::traffic;
use crate::{Args, interrupted};

/// How far a run is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Progress {
    pub(crate) requests: u64,
    pub(crate) rotations: u64,
    /// What the session has left, in milliseconds; `None` if it never expires.
    pub(crate) left: Option<u64>,
}

/// What a child tells its parent, a line each.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Line {
    Progress(Progress),
    Report(Box<Report>),
}

/// Whether all went well.
pub(crate) async fn run(args: &Args, url: &str) -> Result<bool> {
    let (bucket, prefix) = parse(url)?;
    let history = Arc::new(History::default());
    let aws = cache(args, &history).await?;
    let Some(region) = aws.region() else {
        bail!("no AWS region was found; set AWS_REGION, or `region` in the profile that AWS_PROFILE names");
    };
    let start = Instant::now();
    aws.get().await?;
    let first = as_nanos(start.elapsed());

    let timed = Timed::new(aws.clone());
    let builder = aws.configure(AmazonS3Builder::new().with_bucket_name(&bucket));
    let store = Arc::new(builder.with_credentials(Arc::new(timed.clone())).build()?);
    let folder = prefix.join(format!("token-cache-{:016x}", rand::random::<u64>()));
    let reach = store.list(Some(&folder)).try_next().await;
    reach.with_context(|| format!("cannot list {url} in the region {region}; is the bucket there?"))?;
    timed.take();

    let stop = interrupted();
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let tally = {
        let traffic = traffic::run(&store, &folder, args.workers, until, &stop);
        let shown = show(args, &aws, &timed, &history);
        tokio::select! {
            tally = traffic => tally,
            never = shown => match never {},
        }
    };
    let (times, slowest) = timed.take();
    let removed = remove(&store, &folder).await;
    let rotations = history.rotations();
    let report = Report {
        seconds: args.seconds,
        workers: args.workers,
        requests: times.len(),
        failed: tally.failed,
        first_failure: tally.first_failure,
        rejected: tally.rejected,
        sessions: rotations.len() as u64,
        fetches: history.fetches.load(Ordering::Relaxed),
        failed_fetches: history.failed.load(Ordering::Relaxed),
        first_get_credential_ns: first,
        get_credential_ns: Latency::of(&times),
        request_ns: Latency::of(&tally.times),
        outage: None,
        raw: args.child.then_some(Raw { slowest, rotations }),
    };
    let good = report.is_good();
    tell(args, report)?;
    removed.with_context(|| format!("cannot remove {folder} from {url}; what was written is still there"))?;
    Ok(good)
}

/// The cache under test, and its history.
async fn cache(args: &Args, history: &Arc<History>) -> Result<AwsTokenCache> {
    let config = defaults().load().await;
    let mut cache = builder(SdkSource::from_sdk_config(&config)?).on_event(history.listener());
    if args.no_buffer {
        cache = cache.expiry_buffer(Duration::ZERO).min_ttl(Duration::ZERO);
    }
    Ok(AwsTokenCache::new(cache.build(), &config))
}

/// The bucket and the prefix of `s3://bucket/prefix`.
fn parse(url: &str) -> Result<(String, Path)> {
    let Some(rest) = url.strip_prefix("s3://") else {
        bail!("--url {url:?} is no URL of S3; it should look like s3://bucket/prefix");
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        bail!("--url {url:?} names no bucket; it should look like s3://bucket/prefix");
    }
    Ok((bucket.to_owned(), Path::parse(prefix).with_context(|| format!("--url {url:?} has a bad prefix"))?))
}

/// What the cache has gone through.
#[derive(Debug, Default)]
struct History {
    fetches: AtomicU64,
    failed: AtomicU64,
    rotations: Mutex<Vec<Rotation>>,
}

impl History {
    fn listener(self: &Arc<Self>) -> impl Fn(&Event) + Send + Sync + 'static {
        let history = Arc::clone(self);
        move |event| match event {
            Event::FetchStarted { .. } => _ = history.fetches.fetch_add(1, Ordering::Relaxed),
            Event::FetchFailed { .. } => _ = history.failed.fetch_add(1, Ordering::Relaxed),
            Event::FetchSucceeded { remaining, .. } => {
                let at = unix_millis();
                let left = remaining.map_or(u64::MAX, |span| as_nanos(span) / 1_000_000);
                let rotation = Rotation { at, expires: at.saturating_add(left) };
                history.rotations.lock().unwrap_or_else(PoisonError::into_inner).push(rotation);
            }
            _ => {}
        }
    }

    fn rotations(&self) -> Vec<Rotation> {
        self.rotations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

enum Never {}

/// Shows how far it is, for as long as it is let.
async fn show(args: &Args, aws: &AwsTokenCache, timed: &Timed, history: &History) -> Never {
    let line = (!args.child).then(|| progress_line(args.seconds));
    let start = Instant::now();
    loop {
        let status = aws.cache().status();
        let progress = Progress {
            requests: timed.calls(),
            rotations: (history.rotations().len() as u64).saturating_sub(1),
            left: status.remaining.map(|span| as_nanos(span) / 1_000_000),
        };
        match &line {
            Some(line) => {
                let trouble = status.last_error.map(|error| format!(" · {error}")).unwrap_or_default();
                advance(line, start.elapsed(), &progress, &trouble);
            }
            None => send(&Line::Progress(progress)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A line on a terminal, which shows nothing where there is none.
pub(crate) fn progress_line(seconds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24} {pos:>3}/{len} s · {msg}");
    ProgressBar::new(seconds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) fn advance(line: &ProgressBar, elapsed: Duration, progress: &Progress, trouble: &str) {
    let left = match progress.left {
        Some(ms) => format!("{:.1} s left on the session", ms as f64 / 1e3),
        None => "a session that never expires".to_owned(),
    };
    line.set_position(elapsed.as_secs());
    line.set_message(format!("{} requests · {} rotations · {left}{trouble}", progress.requests, progress.rotations));
}

fn tell(args: &Args, report: Report) -> Result<()> {
    if args.child {
        send(&Line::Report(Box::new(report)));
        return Ok(());
    }
    print!("\n{report}");
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}

fn send(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        println!("{text}");
    }
}

async fn remove(store: &Arc<AmazonS3>, folder: &Path) -> Result<()> {
    let all = store.list(Some(folder)).map_ok(|meta| meta.location).boxed();
    store.delete_stream(all).try_for_each(async |_| Ok(())).await?;
    Ok(())
}
