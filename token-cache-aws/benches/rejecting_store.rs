//! Requests per second of a store, beside another one that rejects every request: with its own cache, and with the
//! same cache. The load of the machine is the same, so the ratio shows what one store costs the other.
//!
//! Exits with an error if the ratio is below [`AT_LEAST`], with an issuer that responds and with one that hangs.

use std::future::pending;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_types::SdkConfig;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::ReqwestConnector;
use object_store::path::Path;
use object_store::{ObjectStoreExt, RetryConfig};
use token_cache_aws::{AwsTokenCache, credential_cache};
use token_cache_core::{Clock, SystemClock, TemporaryToken, source_fn};
use token_cache_testing::aws::FakeAws;
use tokio::task::JoinSet;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<ExitCode> {
    let mut is_met = true;
    for issuer_hangs in [false, true] {
        let ratios = measure(issuer_hangs).await?;
        let (first, median, third) = (ratios[ROUNDS / 4], ratios[ROUNDS / 2], ratios[ROUNDS * 3 / 4]);
        let issuer = if issuer_hangs { "hangs" } else { "responds" };
        println!(
            "the issuer {issuer}: {median:.3} ({first:.3} to {third:.3}) of the requests per second, at least {AT_LEAST}"
        );
        is_met &= median >= AT_LEAST;
    }
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The ratio of each round, sorted.
async fn measure(issuer_hangs: bool) -> anyhow::Result<Vec<f64>> {
    let (aws, rejecting) = (FakeAws::builder().start().await?, FakeAws::builder().start().await?);
    aws.s3().create_bucket("bucket")?;
    let is_stuck = Arc::new(AtomicBool::new(false));
    let (shared, own) = (cache(&aws, &is_stuck), cache(&aws, &is_stuck));
    let healthy = store(&shared, &aws)?;
    healthy.put(&Path::from("object"), "".into()).await?;
    own.get().await?;
    is_stuck.store(issuer_hangs, Ordering::SeqCst);
    let (beside, on_the_same) = (store(&own, &rejecting)?, store(&shared, &rejecting)?);
    // The first rounds do not count: connections are opened.
    for rejecting in [&beside, &on_the_same] {
        rate(&healthy, rejecting).await?;
    }
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        // In both orders, so that a machine that gets faster or slower changes nothing.
        let first = rate(&healthy, &beside).await?;
        let same = rate(&healthy, &on_the_same).await? + rate(&healthy, &on_the_same).await?;
        ratios.push(same / (first + rate(&healthy, &beside).await?));
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios)
}

/// A cache of sessions of `aws`, whose issuer stops to respond.
fn cache(aws: &FakeAws, is_stuck: &Arc<AtomicBool>) -> AwsTokenCache {
    let (issuer, is_stuck) = (aws.issuer().clone(), Arc::clone(is_stuck));
    let source = source_fn(move || {
        let session = issuer.new_session();
        let is_stuck = is_stuck.load(Ordering::SeqCst);
        async move {
            if is_stuck {
                pending::<()>().await;
            }
            let (id, secret) = (session.access_key_id(), session.secret_access_key());
            let token = session.session_token().map(str::to_owned);
            let credentials = Credentials::new(id, secret, token, None, "bench");
            Ok::<_, io::Error>(TemporaryToken::never_expires(credentials))
        }
    });
    AwsTokenCache::new(credential_cache(source).build(), &SdkConfig::builder().build())
}

fn store(cache: &AwsTokenCache, server: &FakeAws) -> object_store::Result<AmazonS3> {
    let builder = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_endpoint(server.s3().endpoint());
    cache
        .configure(builder.with_allow_http(true))
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_http_connector(cache.retry_rejected(ReqwestConnector::default()))
        .build()
}

/// Requests per second of `healthy`, all of which succeed, while `rejecting` is used too.
async fn rate(healthy: &AmazonS3, rejecting: &AmazonS3) -> anyhow::Result<f64> {
    let (start, mut healthy_tasks, mut others) = (now(), JoinSet::new(), JoinSet::new());
    for _ in 0..4 {
        let rejecting = rejecting.clone();
        others.spawn(async move {
            loop {
                assert!(rejecting.head(&Path::from("object")).await.is_err(), "the store rejects everything");
            }
        });
        let healthy = healthy.clone();
        healthy_tasks.spawn(async move {
            let mut requests = 0_u32;
            while now() - start < ROUND {
                healthy.head(&Path::from("object")).await?;
                requests += 1;
            }
            anyhow::Ok(requests)
        });
    }
    let mut requests = 0;
    while let Some(done) = healthy_tasks.join_next().await {
        requests += done??;
    }
    let seconds = (now() - start).as_secs_f64();
    others.shutdown().await;
    Ok(f64::from(requests) / seconds)
}

fn now() -> Duration {
    SystemClock::new().now().monotonic()
}

const AT_LEAST: f64 = 0.95;
const ROUNDS: usize = 61;
const ROUND: Duration = Duration::from_millis(250);
