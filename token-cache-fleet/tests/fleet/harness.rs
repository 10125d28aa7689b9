//! A fleet of caches with one issuer and one store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, pending};
use token_cache_core::test_util::{VirtualClock, settled};
use token_cache_core::{
    BoxError, Clock, Error, Event, FetchState, TemporaryToken, TimePoint, TokenCache, TokenSource, retry_after,
};
use token_cache_fleet::{Keys, SharedSource, Store, Utf8, Version};
use tokio::task::JoinHandle;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const STEP: Duration = Duration::from_millis(25);
/// Of each token. A fleet renews it 5 minutes before its expiry.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
pub(crate) const NAME: &str = "reader";

/// The clock, the issuer and the store of a fleet. Clones share them.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) clock: VirtualClock,
    pub(crate) issuer: Issuer,
    pub(crate) store: MemoryStore,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::new();
        Self { issuer: Issuer::new(&clock), clock, store: MemoryStore::default() }
    }

    pub(crate) fn source(&self, keys: Keys) -> SharedSource<Issuer, Utf8> {
        self.source_named(NAME, keys)
    }

    fn source_named(&self, name: &str, keys: Keys) -> SharedSource<Issuer, Utf8> {
        SharedSource::new(self.issuer.clone(), Utf8, self.store.clone(), name, keys).clock(self.clock.clone())
    }

    /// A process with another token.
    pub(crate) fn process_named(&self, name: &str) -> Process {
        self.with_source(self.source_named(name, keys()), self.clock.clone())
    }

    /// A process of the fleet.
    pub(crate) fn process(&self) -> Process {
        self.with_source(self.source(keys()), self.clock.clone())
    }

    /// A process whose wall clock is `skew` seconds ahead.
    pub(crate) fn process_with_skew(&self, skew: i64) -> Process {
        let clock = SkewedClock { clock: self.clock.clone(), skew };
        self.with_source(self.source(keys()).clock(clock.clone()), clock)
    }

    /// A process that shares nothing.
    pub(crate) fn process_without_store(&self) -> Process {
        self.with_source(self.issuer.clone(), self.clock.clone())
    }

    pub(crate) fn with_source(&self, source: impl TokenSource<Token = String>, clock: impl Clock) -> Process {
        let failures = Arc::new(AtomicUsize::new(0));
        let cache = TokenCache::builder(source).clock(clock).on_event({
            let failures = Arc::clone(&failures);
            move |event| {
                if matches!(event, Event::FetchFailed { .. }) {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Process { cache: cache.build(), failures }
    }

    pub(crate) fn processes(&self, count: usize) -> Vec<Process> {
        (0..count).map(|_| self.process()).collect()
    }

    /// Lets time pass. Everything that is due happens at its time, or up to a step later.
    pub(crate) async fn advance(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let step = STEP.min(left);
            self.clock.advance(step);
            settled().await;
            left -= step;
        }
    }

    /// Lets time pass while each process asks for its token: each second while one fetches, each 10 s otherwise. Then waits for
    /// all of them. Returns the first error.
    pub(crate) async fn run(&self, processes: &[Process], duration: Duration) -> Result<(), Error> {
        let end = self.clock.now().monotonic() + duration;
        let mut waiting: Vec<JoinHandle<Result<Arc<String>, Error>>> = Vec::new();
        while self.clock.now().monotonic() < end || !waiting.is_empty() {
            waiting.extend(processes.iter().map(Process::spawn_get));
            settled().await;
            if processes.iter().all(|process| process.cache.status().fetch == FetchState::Idle) {
                self.clock.advance(SECOND * 10);
                settled().await;
            } else {
                self.advance(SECOND).await;
            }
            for n in (0..waiting.len()).rev() {
                if waiting[n].is_finished() {
                    waiting.swap_remove(n).await.unwrap()?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn keys() -> Keys {
    Keys::new([7; 32])
}

#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) cache: TokenCache<String>,
    failures: Arc<AtomicUsize>,
}

impl Process {
    pub(crate) fn spawn_get(&self) -> JoinHandle<Result<Arc<String>, Error>> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.get().await })
    }

    /// Failed fetches.
    pub(crate) fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn token(&self) -> Option<String> {
        self.cache.peek().map(|token| (*token).clone())
    }
}

/// Issues `token-1`, `token-2`, ...
#[derive(Clone)]
pub(crate) struct Issuer(Arc<IssuerState>);

struct IssuerState {
    clock: VirtualClock,
    calls: AtomicUsize,
    behavior: Mutex<Behavior>,
}

#[derive(Clone, Copy)]
pub(crate) enum Behavior {
    AnswerAfter(Duration),
    Fail,
    /// Fails, and asks to be left alone.
    RetryAfter(Duration),
    Hang,
}

impl Issuer {
    fn new(clock: &VirtualClock) -> Self {
        let behavior = Mutex::new(Behavior::AnswerAfter(Duration::from_millis(200)));
        Self(Arc::new(IssuerState { clock: clock.clone(), calls: AtomicUsize::new(0), behavior }))
    }

    pub(crate) fn set(&self, behavior: Behavior) {
        *self.0.behavior.lock().unwrap() = behavior;
    }

    /// The requests so far.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl TokenSource for Issuer {
    type Token = String;

    async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let behavior = *self.0.behavior.lock().unwrap();
        match behavior {
            Behavior::AnswerAfter(delay) => {
                let clock = &self.0.clock;
                clock.sleep_until(clock.now().monotonic() + delay).await;
                Ok(TemporaryToken::new(format!("token-{call}"), clock.after(LIFETIME)))
            }
            Behavior::Fail => Err("the issuer is down".into()),
            Behavior::RetryAfter(delay) => Err(retry_after("too many requests", delay)),
            Behavior::Hang => pending().await,
        }
    }
}

/// A store in memory, with faults. Clones share the records.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<MemoryState>>);

#[derive(Default)]
struct MemoryState {
    records: HashMap<String, (u64, Vec<u8>)>,
    versions: u64,
    fault: Option<Fault>,
    operations: usize,
}

#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Refuse,
    Hang,
    /// Changes are stored, but reported as failed.
    LoseAnswers,
}

impl MemoryStore {
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    pub(crate) fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().records.clear();
    }

    /// The bytes of the only record of a token.
    pub(crate) fn record(&self, token: &str) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let records: Vec<_> = state.records.iter().filter(|(name, _)| name.starts_with(token)).collect();
        assert_eq!(records.len(), 1);
        records[0].1.1.clone()
    }

    pub(crate) fn overwrite(&self, record: Vec<u8>) {
        let mut state = self.0.lock().unwrap();
        state.versions += 1;
        let version = state.versions;
        let name = state.records.keys().find(|name| name.starts_with(NAME)).cloned();
        state.records.insert(name.unwrap(), (version, record));
    }

    async fn fault(&self) -> Result<Option<Fault>, BoxError> {
        let fault = {
            let mut state = self.0.lock().unwrap();
            state.operations += 1;
            state.fault
        };
        match fault {
            Some(Fault::Refuse) => Err("connection refused".into()),
            Some(Fault::Hang) => pending().await,
            fault => Ok(fault),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, name: &str) -> Result<Option<(Version, Vec<u8>)>, BoxError> {
        self.fault().await?;
        let state = self.0.lock().unwrap();
        Ok(state.records.get(name).map(|(version, record)| (Version::new(version.to_be_bytes()), record.clone())))
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&Version>,
        record: Vec<u8>,
        _: Duration,
    ) -> Result<Option<Version>, BoxError> {
        let fault = self.fault().await?;
        let mut state = self.0.lock().unwrap();
        let current = state.records.get(name).map(|(version, _)| Version::new(version.to_be_bytes()));
        if current.as_ref() != expected {
            return Ok(None);
        }
        state.versions += 1;
        let version = state.versions;
        state.records.insert(name.to_owned(), (version, record));
        match fault {
            Some(_) => Err("connection closed".into()),
            None => Ok(Some(Version::new(version.to_be_bytes()))),
        }
    }
}

/// The clock of a host that is wrong.
#[derive(Clone, Debug)]
struct SkewedClock {
    clock: VirtualClock,
    /// In seconds.
    skew: i64,
}

impl Clock for SkewedClock {
    fn now(&self) -> TimePoint {
        let (now, skew) = (self.clock.now(), Duration::from_secs(self.skew.unsigned_abs()));
        TimePoint::new(now.monotonic(), if self.skew < 0 { now.wall() - skew } else { now.wall() + skew })
    }

    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(monotonic)
    }
}
