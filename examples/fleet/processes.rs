//! The processes of a fleet.

use std::env;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, TokenCache, TokenSource, source_fn};
use token_cache_fleet::{Keys, SharedSource, Utf8};
use tokio::process;
use tokio::time::sleep;

use crate::issuer::request;
use crate::stores;

/// A process that reads its tokens until a time, and prints a [`Report`].
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Child {
    #[arg(long)]
    store: String,
    #[arg(long)]
    issuer: u16,
    /// Caches in this process, each with its own source.
    #[arg(long, default_value_t = 1)]
    caches: usize,
    /// In milliseconds, as all times here.
    #[arg(long)]
    buffer: u64,
    #[arg(long)]
    duration: u64,
    #[arg(long, default_value_t = 200)]
    interval: u64,
    #[arg(long, default_value_t = 3000)]
    lease: u64,
}

/// What a process has seen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) gets: u64,
    pub(crate) errors: u64,
    pub(crate) expired: u64,
    /// The time of the first token of each cache after its start, in milliseconds.
    pub(crate) first_ms: Vec<u64>,
    /// Calls that waited although a token was cached.
    pub(crate) waited: u64,
    pub(crate) error: Option<String>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.gets += other.gets;
        self.errors += other.errors;
        self.expired += other.expired;
        self.waited += other.waited;
        self.first_ms.extend(other.first_ms);
        self.error = self.error.take().or(other.error);
    }
}

impl Child {
    pub(crate) fn new(store: &str, issuer: u16, buffer: Duration, duration: Duration) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (buffer, duration) = (millis(buffer), millis(duration));
        Self { store: store.to_owned(), issuer, caches: 1, buffer, duration, interval: 200, lease: 3000 }
    }

    pub(crate) fn caches(mut self, caches: usize) -> Self {
        self.caches = caches;
        self
    }

    pub(crate) fn spawn(&self) -> Result<process::Child, BoxError> {
        let mut command = process::Command::new(env::current_exe()?);
        command.args(["read-tokens", "--store", &self.store]);
        for (name, value) in [
            ("--issuer", u64::from(self.issuer)),
            ("--caches", self.caches as u64),
            ("--buffer", self.buffer),
            ("--duration", self.duration),
            ("--interval", self.interval),
            ("--lease", self.lease),
        ] {
            command.arg(name).arg(value.to_string());
        }
        Ok(command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
    }
}

/// Waits for processes, and adds up what they have seen.
pub(crate) async fn reports(children: Vec<process::Child>) -> Result<Report, BoxError> {
    let mut sum = Report::default();
    for child in children {
        let output = child.wait_with_output().await?;
        let report: Report = serde_json::from_slice(&output.stdout)?;
        sum.add(report);
    }
    sum.first_ms.sort_unstable();
    Ok(sum)
}

pub(crate) async fn read_tokens(child: Child) -> Result<(), BoxError> {
    let buffer = Duration::from_millis(child.buffer);
    let mut caches = Vec::new();
    // One connection per process.
    let store = stores::open(&child.store).await?;
    for _ in 0..child.caches {
        let issuer = child.issuer;
        let source = source_fn(move || async move {
            let (token, expires_at) = request(issuer).await?;
            Ok::<_, BoxError>(TemporaryToken::new(token, expires_at))
        });
        caches.push(match store.clone() {
            Some(store) => {
                let source = SharedSource::new(source, Utf8, store, "load", Keys::new([7; 32]));
                cache(source.expiry_buffer_by(move |_| buffer).lease(Duration::from_millis(child.lease)), buffer)
            }
            None => cache(source, buffer),
        });
    }
    let reads = caches.into_iter().map(|cache| read(cache, child.clone()));
    let mut sum = Report::default();
    for report in futures::future::join_all(reads).await {
        sum.add(report);
    }
    println!("{}", serde_json::to_string(&sum)?);
    Ok(())
}

fn cache(source: impl TokenSource<Token = String>, buffer: Duration) -> TokenCache<String> {
    TokenCache::builder(source).expiry_buffer_by(move |_| buffer).min_ttl(Duration::from_millis(200)).build()
}

async fn read(cache: TokenCache<String>, child: Child) -> Report {
    let (clock, mut report) = (SystemClock::new(), Report::default());
    let start = clock.now().monotonic();
    while clock.now().monotonic() - start < Duration::from_millis(child.duration) {
        let has_token = cache.peek().is_some();
        let began_at = clock.now().monotonic();
        let mut polls = 0;
        let got = futures::future::poll_fn({
            let mut get = Box::pin(cache.get_with_times());
            move |context| {
                polls += 1;
                get.as_mut().poll(context).map(|got| (got, polls))
            }
        });
        let (got, polls) = got.await;
        report.gets += 1;
        // A call that waits is polled again. Its time would say more about the machine than about the cache.
        if has_token && polls > 1 {
            report.waited += 1;
        }
        match got {
            Ok(token) => {
                if report.first_ms.is_empty() {
                    let took = clock.now().monotonic() - start;
                    report.first_ms.push(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                }
                // The wall time at which the call began: a token may end after it was returned.
                let now = clock.now();
                let began_at = now.wall() - (now.monotonic() - began_at);
                report.expired += u64::from(token.expires_at.is_some_and(|expires_at| expires_at <= began_at));
            }
            Err(error) => {
                report.errors += 1;
                report.error.get_or_insert_with(|| format!("{error:?}"));
            }
        }
        sleep(Duration::from_millis(child.interval).mul_f64(0.5 + rand::random::<f64>())).await;
    }
    report
}
