//! Runs the load against a bucket, with the credentials, region and endpoint of the environment.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use token_cache_aws::{AwsTokenCache, SdkSource, credential_cache, defaults};

use crate::history::FetchHistory;
use crate::interrupt::on_ctrl_c;
use crate::message::Message;
use crate::progress::{Progress, new_bar};
use crate::report::{Latency, Report, Samples};
use crate::timing::{TimedProvider, as_millis, as_nanos};
use crate::{Args, workload};

/// Returns whether the run was a success.
pub(crate) async fn run(args: &Args, url: &str) -> Result<bool> {
    let (bucket, prefix) = parse_url(url)?;
    let history = Arc::new(FetchHistory::default());
    let aws = build_cache(args, &history).await?;
    let Some(region) = aws.region() else {
        bail!("no AWS region is configured: set AWS_REGION, or `region` in the profile that AWS_PROFILE names");
    };
    let start = Instant::now();
    aws.get().await?;
    let first_get_credential_ns = as_nanos(start.elapsed());

    let provider = TimedProvider::new(aws.clone());
    let builder = aws.configure(AmazonS3Builder::new().with_bucket_name(&bucket));
    let store = Arc::new(builder.with_credentials(Arc::new(provider.clone())).build()?);
    let prefix = prefix.join(format!("token-cache-{:016x}", rand::random::<u64>()));
    let first_page = store.list(Some(&prefix)).try_next().await;
    first_page.with_context(|| format!("cannot list {url} in region {region}: check the bucket and its region"))?;
    provider.take();

    let stop = on_ctrl_c();
    let deadline = Instant::now() + Duration::from_secs(args.seconds);
    let outcome = tokio::select! {
        outcome = workload::run(&store, &prefix, args.workers, deadline, &stop) => outcome,
        result = show_progress(args, &aws, &provider, &history) => match result? {},
    };
    let calls = provider.take();
    let deleted = delete_prefix(&store, &prefix).await;
    let sessions = history.sessions();
    let report = Report {
        seconds: args.seconds,
        workers: args.workers,
        requests: calls.latency.len(),
        failed: outcome.failed,
        first_failure: outcome.first_failure,
        rejected: outcome.rejected,
        sessions: sessions.len() as u64,
        fetches: history.started(),
        failed_fetches: history.failed(),
        first_get_credential_ns,
        waited: calls.waited,
        get_credential_ns: Latency::of(&calls.latency),
        request_ns: Latency::of(&outcome.latency),
        outage: None,
        samples: args.child.then(|| Samples { slowest: calls.into_slowest(), sessions }),
    };
    let success = report.is_success();
    if args.child {
        Message::Report(Box::new(report)).print()?;
    } else {
        report.print(args.json)?;
    }
    deleted.with_context(|| format!("cannot delete {prefix} from {url}: the objects of this run are still there"))?;
    Ok(success)
}

/// The cache under test.
async fn build_cache(args: &Args, history: &Arc<FetchHistory>) -> Result<AwsTokenCache> {
    let loader = defaults();
    // Servers on loopback need no TLS, which takes long to build.
    #[cfg(not(feature = "url"))]
    let loader = loader.http_client(aws_smithy_http_client::Builder::new().build_http());
    let config = loader.load().await;
    let mut cache = credential_cache(SdkSource::from_sdk_config(&config)?).on_event(history.listener());
    if args.no_buffer {
        cache = cache.expiry_buffer(Duration::ZERO).min_ttl(Duration::ZERO);
    }
    Ok(AwsTokenCache::new(cache.build(), &config))
}

/// Splits `s3://bucket/prefix` into bucket and prefix.
fn parse_url(url: &str) -> Result<(String, Path)> {
    let path = url.strip_prefix("s3://").unwrap_or_default();
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        bail!("invalid --url {url:?}: expected s3://bucket/prefix");
    }
    Ok((bucket.to_owned(), Path::parse(prefix).with_context(|| format!("invalid prefix in --url {url:?}"))?))
}

/// Shows the progress every 100 ms, on a progress bar or as messages to the parent process.
async fn show_progress(
    args: &Args,
    aws: &AwsTokenCache,
    provider: &TimedProvider,
    history: &FetchHistory,
) -> Result<Infallible> {
    let bar = (!args.child).then(|| new_bar(args.seconds));
    let start = Instant::now();
    loop {
        let status = aws.cache().status();
        let progress = Progress {
            requests: provider.calls(),
            rotations: history.rotations(),
            remaining_ms: status.remaining.map(as_millis),
        };
        match &bar {
            Some(bar) => {
                let error = status.last_error.map(|error| format!(" · {error}")).unwrap_or_default();
                progress.show(bar, start.elapsed(), &error);
            }
            None => Message::Progress(progress).print()?,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn delete_prefix(store: &Arc<AmazonS3>, prefix: &Path) -> Result<()> {
    let objects = store.list(Some(prefix)).map_ok(|object| object.location).boxed();
    store.delete_stream(objects).try_for_each(async |_| Ok(())).await?;
    Ok(())
}
