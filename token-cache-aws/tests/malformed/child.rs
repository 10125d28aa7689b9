//! What a child does: it takes its case through well, malformed, and well again, and prints all that it sees.

use std::env;
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use futures::future::join_all;
use token_cache_aws::{AwsTokenCache, builder};
use token_cache_core::{Error, Event};
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::PROTOCOLS;
use crate::canary::GOOD_KEY_ID;
use crate::case::{Case, Outcome, Protocol};
use crate::place::{Place, Stage};

// What the parent tells: which case, in which folder, and at which server.
pub(crate) const CASE: &str = "TOKEN_CACHE_CASE";
pub(crate) const PLACE: &str = "TOKEN_CACHE_PLACE";
pub(crate) const URL: &str = "TOKEN_CACHE_URL";
/// In what the SDK says when it gives up.
pub(crate) const TIMEOUT: &str = "timeout";
/// Before each error that is to be shown.
pub(crate) const SAID: &str = "SAID: ";

pub(crate) async fn run() {
    let Ok(name) = env::var(CASE) else { return }; // somebody runs all tests that are ignored
    // Of all that is logged only what is ours: the SDK logs whole responses, which nobody here can help.
    let ours = io::stdout.with_filter(|meta| meta.target().starts_with("token_cache"));
    tracing_subscriber::fmt().with_ansi(false).with_writer(ours).try_init().unwrap();

    let (protocol, case) = find(&name);
    let place = Place { folder: env::var_os(PLACE).unwrap().into(), url: env::var(URL).unwrap() };
    let trial = Trial { protocol, case, place };
    tokio::time::timeout(Duration::from_secs(60), trial.run()).await.expect("it ends");
}

fn find(name: &str) -> (&'static Protocol, Case) {
    let (protocol, name) = name.split_once('/').unwrap();
    let protocol = PROTOCOLS.into_iter().find(|one| one.name == protocol).unwrap();
    (protocol, (protocol.cases)().into_iter().find(|case| case.name == name).unwrap())
}

struct Trial {
    protocol: &'static Protocol,
    case: Case,
    place: Place,
}

impl Trial {
    async fn run(&self) {
        let warm = if self.case.is_slow() { self.with_settings().await } else { self.chain().await };
        has_good_ones(&warm).await;
        let first = warm.get().await.unwrap();
        tokio::time::sleep(PACING).await;

        self.place.set(Stage::Bad);
        let cold = self.cold().await;
        let of_warm = self.unless_busy(|| warm.cache().refresh());
        let of_cold = join_all(cold.iter().map(|cache| self.unless_busy(|| cache.get())));
        let (of_warm, of_cold) = tokio::join!(of_warm, of_cold);
        match &self.case.outcome {
            Outcome::Taken(why) => {
                println!("{SAID}taken, with {:?} left: {why}", warm.cache().status().remaining);
                assert!(Arc::ptr_eq(&of_warm.unwrap(), &warm.get().await.unwrap()));
                of_cold.into_iter().for_each(|result| drop(result.unwrap()));
            }
            Outcome::Refused(_) | Outcome::Slow => {
                self.check(&warm, &of_warm.unwrap_err());
                for (cache, result) in cold.iter().zip(of_cold) {
                    self.check(cache, &result.unwrap_err());
                }
                assert!(Arc::ptr_eq(&first, &warm.get().await.unwrap()), "the good token is gone");
            }
        }

        self.place.set(Stage::Good);
        join_all(cold.iter().chain([&warm]).map(has_good_ones)).await;
    }

    /// The cache as users have it, which makes the SDK's chain anew for each fetch.
    async fn chain(&self) -> AwsTokenCache {
        match self.protocol.profile {
            Some(name) => AwsTokenCache::from_profile(name).await,
            None => AwsTokenCache::from_env().await,
        }
    }

    /// A cache over a provider of the SDK that is kept, with settings of its own.
    async fn with_settings(&self) -> AwsTokenCache {
        let source = self.protocol.source.expect("a source for caches with settings");
        let cache = builder(source().await).min_refresh_interval(PACING / 10).on_event(print_event);
        let cache = if self.case.is_slow() { cache.fetch_timeout(PACING / 2) } else { cache };
        AwsTokenCache::new(cache.build(), &SdkConfig::builder().build())
    }

    /// Caches that have not fetched yet: of both kinds, where there are both and they end by themselves.
    async fn cold(&self) -> Vec<AwsTokenCache> {
        let mut cold = Vec::new();
        if self.protocol.source.is_some() {
            cold.push(self.with_settings().await);
        }
        if !self.case.is_slow() {
            cold.push(self.chain().await);
        }
        cold
    }

    /// Asks again where the SDK has given up on a machine that was merely busy: it gives a metadata service one second.
    async fn unless_busy<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let is_told = matches!(&self.case.outcome, Outcome::Refused(words) if words.contains(&TIMEOUT));
        let start = Instant::now();
        loop {
            let error = match ask().await {
                Err(error) if error.to_string().contains(TIMEOUT) && !is_told => error,
                result => return result,
            };
            assert!(start.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(error.retry_after().unwrap_or_default()).await;
        }
    }

    fn check(&self, cache: &AwsTokenCache, error: &Error) {
        let text = error.to_string();
        println!("{SAID}{text}");
        match &self.case.outcome {
            Outcome::Refused(words) => {
                words.iter().for_each(|word| assert!(text.contains(word), "no {word} in {text}"))
            }
            _ => assert!(text.contains("did not answer within"), "{text}"),
        }
        if error.source().is_some() {
            assert!(self.protocol.link.iter().any(|link| text.contains(link)), "no {:?} in {text}", self.protocol.link);
        }
        assert!(!text.contains(char::is_control), "more than one line: {text:?}");
        assert!(text.len() <= LONGEST, "{} bytes: {text}", text.len());
        print_all(cache, error);
    }
}

/// As soon as its pacing lets it ask.
async fn has_good_ones(cache: &AwsTokenCache) {
    let start = Instant::now();
    loop {
        let result = cache.cache().refresh().await;
        if result.as_ref().is_ok_and(|credentials| credentials.access_key_id() == GOOD_KEY_ID) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "it does not recover: {:?}", result.err());
        tokio::time::sleep(PACING / 10).await;
    }
}

/// All that there is to print: the parent looks for secrets in it.
fn print_all(cache: &AwsTokenCache, error: &Error) {
    println!("{error} {error:?} {error:#?} {cache:?} {cache:#?} {:?} {:?}", cache.cache(), cache.cache().status());
    let mut below = error.source();
    while let Some(source) = below {
        println!("{source} {source:?} {source:#?}");
        below = source.source();
    }
}

fn print_event(event: &Event) {
    if let Event::FetchFailed { error, .. } = event {
        println!("{error}");
    }
    println!("{event:?} {event:#?}");
}

/// A bit more than the `min_refresh_interval`.
const PACING: Duration = Duration::from_millis(1020);
const PATIENCE: Duration = Duration::from_secs(20);
/// For a line that somebody is to read.
const LONGEST: usize = 2000;
