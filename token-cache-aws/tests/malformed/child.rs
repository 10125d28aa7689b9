//! Runs one case: good input, malformed input, and good input again. Prints everything that can be printed.

use std::env;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use futures::future::{Either, join_all, select};
use token_cache_aws::{AwsTokenCache, credential_cache};
use token_cache_core::{Error, Event, TokenCacheBuilder};
use token_cache_test_support::{is_child, report, wait_until};
use token_cache_testing::VirtualClock;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::PROTOCOLS;
use crate::canary::GOOD_KEY_ID;
use crate::case::{Case, Outcome, Protocol};
use crate::fixture::{Fixture, Stage};

// The variables with the case, the folder of its fixture, and the URL of its server.
pub(crate) const CASE: &str = "TOKEN_CACHE_CASE";
pub(crate) const FOLDER: &str = "TOKEN_CACHE_FOLDER";
pub(crate) const URL: &str = "TOKEN_CACHE_URL";

/// In the SDK's errors for its own timeouts.
pub(crate) const SDK_TIMEOUT: &str = "timeout";

pub(crate) async fn run() {
    if !is_child() {
        return;
    }
    // Only this project's log lines: the SDK logs whole responses.
    let writer = io::stdout.with_filter(|meta| meta.target().starts_with("token_cache"));
    tracing_subscriber::fmt().with_ansi(false).with_writer(writer).try_init().unwrap();

    let (protocol, case) = find(&env::var(CASE).unwrap());
    let fixture = Fixture { folder: env::var_os(FOLDER).unwrap().into(), url: env::var(URL).unwrap() };
    let run = CaseRun { protocol, case, fixture };
    tokio::time::timeout(LIMIT, run.run()).await.expect("the case ends");
}

fn find(name: &str) -> (&'static Protocol, Case) {
    let (protocol, name) = name.split_once('/').unwrap();
    let protocol = PROTOCOLS.into_iter().find(|one| one.name == protocol).unwrap();
    (protocol, (protocol.cases)().into_iter().find(|case| case.name == name).unwrap())
}

struct CaseRun {
    protocol: &'static Protocol,
    case: Case,
    fixture: Fixture,
}

impl CaseRun {
    async fn run(&self) {
        let times_out = matches!(self.case.outcome, Outcome::TimesOut);
        let warm = if times_out { self.with_virtual_clock().await } else { self.with_defaults().await };
        warm.fetch_good().await;
        let stored = warm.aws.get().await.unwrap();

        self.fixture.switch_to(Stage::Bad);
        let mut cold = vec![self.with_virtual_clock().await];
        if times_out {
            self.check_error(&warm, &self.time_out(&warm).await);
            for cache in &cold {
                self.check_error(cache, &self.time_out(cache).await);
            }
        } else {
            cold.push(self.with_defaults().await);
            let refresh = self.attempt(&warm, async |aws| aws.cache().refresh().await);
            let gets = cold.iter().map(|cache| self.attempt(cache, async |aws| aws.get().await));
            let (refreshed, got) = tokio::join!(refresh, join_all(gets));
            if let Outcome::Accepted(reason) = &self.case.outcome {
                report(format!("accepted, with {:?} remaining: {reason}", warm.aws.cache().status().remaining));
                assert!(Arc::ptr_eq(&refreshed.unwrap(), &warm.aws.get().await.unwrap()));
                got.into_iter().for_each(|result| drop(result.unwrap()));
            } else {
                self.check_error(&warm, &refreshed.unwrap_err());
                for (cache, result) in cold.iter().zip(got) {
                    self.check_error(cache, &result.unwrap_err());
                }
            }
        }
        if !matches!(self.case.outcome, Outcome::Accepted(_)) {
            assert!(Arc::ptr_eq(&stored, &warm.aws.get().await.unwrap()), "the good token was replaced");
        }

        self.fixture.switch_to(Stage::Good);
        join_all(cold.iter().chain([&warm]).map(Cache::fetch_good)).await;
    }

    /// The cache of most users. It creates the SDK's chain anew for each fetch, and runs on the real clock.
    async fn with_defaults(&self) -> Cache {
        let aws = match self.protocol.profile {
            Some(name) => AwsTokenCache::from_profile(name).await,
            None => AwsTokenCache::from_env().await,
        };
        Cache { aws, clock: None }
    }

    /// A cache whose pacing and `fetch_timeout` take no real time.
    async fn with_virtual_clock(&self) -> Cache {
        let clock = VirtualClock::new();
        let cache_clock = clock.clone();
        let settings = |cache: TokenCacheBuilder<Credentials>| {
            cache.fetch_timeout(FETCH_TIMEOUT).clock(cache_clock).on_event(print_event)
        };
        let aws = match (self.protocol.source, self.protocol.profile) {
            (Some(source), _) => {
                AwsTokenCache::new(settings(credential_cache(source().await)).build(), &SdkConfig::builder().build())
            }
            (None, Some(name)) => AwsTokenCache::builder().profile(name).cache(settings).load().await,
            (None, None) => AwsTokenCache::builder().cache(settings).load().await,
        };
        Cache { aws, clock: Some(clock) }
    }

    /// One attempt. It is repeated as long as one of the SDK's own timeouts ends it, unless the case is about that: the
    /// shortest, of the metadata service, is one second, which may be too short for a busy machine.
    async fn attempt(
        &self,
        cache: &Cache,
        fetch: impl AsyncFn(&AwsTokenCache) -> Result<Arc<Credentials>, Error>,
    ) -> Result<Arc<Credentials>, Error> {
        let is_expected = matches!(&self.case.outcome, Outcome::Fails(texts) if texts.contains(&SDK_TIMEOUT));
        loop {
            cache.wait_for_pacing().await;
            match fetch(&cache.aws).await {
                Err(error) if is_sdk_timeout(&error) && !is_expected => {}
                result => return result,
            }
        }
    }

    /// The error of a fetch whose `fetch_timeout` ends while the source waits. It is repeated if the SDK gives up earlier.
    async fn time_out(&self, cache: &Cache) -> Error {
        loop {
            cache.wait_for_pacing().await;
            self.fixture.clear_requested();
            let refresh = Box::pin(cache.aws.cache().refresh());
            let requested = Box::pin(wait_until("a request", async || self.fixture.is_requested()));
            let Either::Right(((), refresh)) = select(refresh, requested).await else { continue };
            cache.clock.as_ref().unwrap().advance(FETCH_TIMEOUT);
            match refresh.await {
                Err(error) if !is_sdk_timeout(&error) => return error,
                // The metadata provider returns the previous credentials after its own timeout.
                _ => {}
            }
        }
    }

    fn check_error(&self, cache: &Cache, error: &Error) {
        let text = error.to_string();
        report(&text);
        match &self.case.outcome {
            Outcome::Fails(texts) => texts.iter().for_each(|part| assert!(text.contains(part), "no {part} in {text}")),
            _ => assert!(text.contains("did not answer within"), "{text}"),
        }
        if error.source().is_some() {
            let mentions = self.protocol.mentions;
            assert!(mentions.iter().any(|part| text.contains(part)), "no {mentions:?} in {text}");
        }
        assert!(!text.contains(char::is_control), "more than one line: {text:?}");
        assert!(text.len() <= MAX_ERROR_BYTES, "{} bytes: {text}", text.len());
        print_all(&cache.aws, error);
    }
}

struct Cache {
    aws: AwsTokenCache,
    /// `None`: the real clock.
    clock: Option<VirtualClock>,
}

impl Cache {
    /// Waits until the cache may start a fetch.
    async fn wait_for_pacing(&self) {
        loop {
            let wait = self.aws.cache().status().next_attempt;
            match &self.clock {
                _ if wait.is_zero() => return,
                Some(clock) => clock.advance(wait),
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Returns after a fetch has brought the good credentials.
    async fn fetch_good(&self) {
        loop {
            self.wait_for_pacing().await;
            match self.aws.cache().refresh().await {
                Ok(credentials) if credentials.access_key_id() == GOOD_KEY_ID => return,
                // A fetch that started before the switch, or one of the SDK's timeouts.
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

fn is_sdk_timeout(error: &Error) -> bool {
    error.to_string().contains(SDK_TIMEOUT)
}

/// Prints everything that can be printed. The parent searches it for secrets.
fn print_all(cache: &AwsTokenCache, error: &Error) {
    println!("{error} {error:?} {error:#?} {cache:?} {cache:#?} {:?} {:?}", cache.cache(), cache.cache().status());
    let mut next = error.source();
    while let Some(source) = next {
        println!("{source} {source:?} {source:#?}");
        next = source.source();
    }
}

fn print_event(event: &Event) {
    if let Event::FetchFailed { error, .. } = event {
        println!("{error}");
    }
    println!("{event:?} {event:#?}");
}

/// Of the virtual clock.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Only turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(600);
const MAX_ERROR_BYTES: usize = 2000;
