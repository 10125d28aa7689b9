//! [`SharedSource`]: a source that fetches once for all processes.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::future::{Either, select};
use token_cache_core::{
    BoxError, Clock, SystemClock, TemporaryToken, TimePoint, TokenSource, requested_delay, retry_after,
};

use crate::codec::Codec;
use crate::error::FleetError;
use crate::events;
use crate::keys::Keys;
use crate::plan::{Holder, Id, MAX_PAUSE, Memory, Plan, PlanWithoutStore, Renewal, RenewalKind, Settings, TokenInfo};
use crate::random;
use crate::record::{Record, Sealer};
use crate::store::{Store, Version};

/// A token source that shares each token of another source with all processes that use the same [`Store`], name and [`Keys`].
///
/// The cache of each process works as before: a hit touches no store. When a token is due, the first process claims a lease
/// and fetches; the others take the token from the store. The lease saves fetches, and nothing depends on it: if the store
/// fails, each process fetches for itself.
///
/// Give each cache a source of its own: it remembers which token its cache has.
///
/// # Errors
///
/// Of a process that fetches: the error of the source. For a few seconds after that, the other processes get its text as a
/// [`FleetError`], and do not fetch. If the store does not respond while the process has a token, the refresh fails and is
/// tried again, during the first half of the token's expiry buffer. No caller of the cache sees that.
pub struct SharedSource<S, C> {
    source: S,
    codec: C,
    store: Arc<dyn Store>,
    sealer: Sealer,
    record_name: Box<str>,
    /// The records of the keys that only open.
    other_records: Vec<Box<str>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    expiry_buffer: Box<dyn Fn(Duration) -> Duration + Send + Sync>,
    memory: Mutex<Memory>,
}

impl<S: TokenSource, C: Codec<S::Token>> SharedSource<S, C> {
    /// Shares the tokens of `source` under `name`.
    ///
    /// The name has to say everything that makes a token another one: role, policies, scopes, region, endpoint. Two sources with
    /// the same name get the same tokens.
    pub fn new(source: S, codec: C, store: impl Store, name: impl Into<String>, keys: Keys) -> Self {
        let name = name.into().into_boxed_str();
        Self {
            source,
            codec,
            store: Arc::new(store),
            record_name: record_name(&name, keys.fingerprint()),
            other_records: keys.other_fingerprints().map(|fingerprint| record_name(&name, fingerprint)).collect(),
            sealer: Sealer { keys, name },
            clock: Arc::new(SystemClock::new()),
            settings: Settings { lease: DEFAULT_LEASE, max_wait: DEFAULT_MAX_WAIT, may_fetch_alone: true },
            expiry_buffer: Box::new(|lifetime| DEFAULT_BUFFER.min(lifetime / 2)),
            memory: Mutex::default(),
        }
    }

    /// How long before its expiry the fleet renews a token, by its lifetime, unless the issuer says when. Default: 5 minutes, at
    /// most half of the lifetime. The settings of the caches do not count: a shared token says when it is to be refreshed.
    #[must_use]
    pub fn expiry_buffer_by(mut self, buffer: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Self {
        self.expiry_buffer = Box::new(buffer);
        self
    }

    /// How long the other processes wait for one that was killed while it fetched. Default: 3 seconds, at least 30 ms, at most a
    /// minute. While a process fetches, it renews its lease three times in this time, so a fetch may take longer.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease.clamp(Duration::from_millis(30), Duration::from_secs(60));
        self
    }

    /// How long a process waits for another one that fetches, before it fetches for itself. Default: one minute, twice the
    /// `fetch_timeout` of a cache: a process that fetches has given up long before.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.settings.max_wait = max_wait;
        self
    }

    /// Never fetches without a lease, also if the store does not respond: for grants that can be used only once, such as refresh
    /// tokens that rotate. Even so, two processes can fetch at once if one of them is suspended for longer than its lease.
    #[must_use]
    pub const fn never_alone(mut self) -> Self {
        self.settings.may_fetch_alone = false;
        self
    }

    /// The clock, for tests. Default: [`SystemClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Loads the record, and looks for a token in the records of the other keys if it has none.
    async fn load(&self) -> Result<Loaded<S::Token>, BoxError> {
        let mut loaded = self.load_record(&self.record_name).await?;
        for name in &self.other_records {
            let (memory, now) = (*self.memory(), self.now());
            if loaded.token.as_ref().is_some_and(|(info, _)| memory.is_usable(info, now)) {
                break;
            }
            let other = self.load_record(name).await?;
            if other.token.as_ref().is_some_and(|(info, _)| memory.is_usable(info, now)) {
                loaded.token = other.token;
            }
        }
        Ok(loaded)
    }

    async fn load_record(&self, name: &str) -> Result<Loaded<S::Token>, BoxError> {
        let found = self.limited(self.store.load(name)).await?;
        let (version, bytes) = found.map_or((None, None), |(version, bytes)| (Some(version), Some(bytes)));
        let record = bytes.and_then(|bytes| Record::decode(&bytes)).unwrap_or_default();
        let token = self.sealer.open_token(&record.token).and_then(|(info, bytes)| {
            let token = self.codec.decode(&bytes).ok()?;
            Some((info, token))
        });
        // Whoever can write to the store but has no key, cannot make the fleet wait.
        let renewal =
            record.renewal.and_then(|renewal| Some((renewal, self.sealer.open_error(&renewal, &record.error)?)));
        let (renewal, error) = renewal.unzip();
        Ok(Loaded { version, renewal, error, token, sealed_token: record.token })
    }

    async fn swap(
        &self,
        expected: Option<&Version>,
        record: &Record,
        keep: Duration,
    ) -> Result<Option<Version>, BoxError> {
        self.limited(self.store.swap(&self.record_name, expected, record.encode(), keep)).await
    }

    /// Gives up an operation of the store that takes too long.
    async fn limited<T>(&self, operation: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
        match self.with_timeout(operation).await {
            Some(result) => result,
            None => Err(FleetError::StoreTimedOut(STORE_TIMEOUT).into()),
        }
    }

    async fn with_timeout<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), self.sleep(STORE_TIMEOUT)).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        self.clock.sleep_until(self.now().monotonic().saturating_add(duration))
    }

    fn now(&self) -> TimePoint {
        self.clock.now()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a token that another process has fetched.
    fn use_token(&self, info: TokenInfo, token: S::Token) -> TemporaryToken<S::Token> {
        self.memory().set_last(info);
        temporary_token(token, &info)
    }

    /// Fetches as the holder of a lease.
    async fn renew(
        &self,
        holder: Id,
        version: Version,
        loaded: Loaded<S::Token>,
    ) -> Result<TemporaryToken<S::Token>, BoxError> {
        let lease = Mutex::new(Lease { holder: Holder { id: holder, beat: 0 }, version: Some(version) });
        let started_at = self.now().wall();
        let fetched = match select(self.source.fetch(), pin!(self.keep_lease(&lease, &loaded.sealed_token))).await {
            Either::Left((fetched, _)) => fetched,
            Either::Right((never, _)) => match never {},
        };
        let version = lease.into_inner().unwrap_or_else(PoisonError::into_inner).version;
        let before = loaded.token.as_ref().map(|(info, _)| info.id);
        match fetched {
            Ok(token) => {
                let (info, record) = self.record_of(&token, started_at);
                self.try_publish(version, before, &info, record).await;
                self.memory().set_last(info);
                Ok(shared(token, &info))
            }
            Err(error) => {
                let pause = self.pause(holder, &error, &loaded);
                if let (Some(version), Some(pause)) = (version, pause) {
                    let keep = loaded.token.as_ref().map_or(MIN_KEEP, |(info, _)| keep(info, self.now()));
                    // If it fails, the lease ends by itself.
                    let _ = self.swap(Some(&version), &pause, keep).await;
                }
                let (now, memory) = (self.now(), *self.memory());
                match loaded.token.filter(|(info, _)| memory.is_usable(info, now)) {
                    Some((info, token)) => Ok(self.use_token(info, token)),
                    None => Err(error),
                }
            }
        }
    }

    /// Renews the lease for as long as it is polled.
    async fn keep_lease(&self, lease: &Mutex<Lease>, sealed_token: &[u8]) -> std::convert::Infallible {
        loop {
            self.sleep(self.settings.lease / 3).await;
            let (holder, version) = {
                let mut lease = lock(lease);
                lease.holder.beat += 1;
                // Until the store has responded, the version is unknown.
                (lease.holder, lease.version.take())
            };
            let Some(version) = version else { return futures::future::pending().await };
            let Some(record) = self.lease_record(holder, sealed_token) else { return futures::future::pending().await };
            match self.swap(Some(&version), &record, self.settings.lease + MIN_KEEP).await {
                Ok(next) => lock(lease).version = next,
                Err(_) => lock(lease).version = Some(version),
            }
        }
    }

    /// `None`: it cannot be sealed.
    fn lease_record(&self, holder: Holder, sealed_token: &[u8]) -> Option<Record> {
        let (duration, written_at) = (self.settings.lease, self.now().wall());
        let renewal = Renewal { kind: RenewalKind::Fetching, holder, duration, written_at };
        let error = self.sealer.seal_error(&renewal, "")?;
        Some(Record { renewal: Some(renewal), error, token: sealed_token.to_vec() })
    }

    /// The record of a token that was just fetched. `None`: it cannot be sealed.
    fn record_of(&self, token: &TemporaryToken<S::Token>, started_at: SystemTime) -> (TokenInfo, Option<Record>) {
        let expires_at = token.expires_at(started_at);
        let refresh_at = token.refresh_time().or_else(|| {
            let expires_at = expires_at?;
            let lifetime = expires_at.duration_since(started_at).unwrap_or_default();
            expires_at.checked_sub((self.expiry_buffer)(lifetime).min(lifetime))
        });
        let id = random::id();
        let info = TokenInfo { id: id.unwrap_or(Id([0; 16])), expires_at, refresh_at };
        let bytes = zeroize::Zeroizing::new(self.codec.encode(token.value()));
        let sealed = id.and_then(|_| self.sealer.seal_token(&info, &bytes));
        (info, sealed.map(|token| Record { renewal: None, error: Vec::new(), token }))
    }

    /// Stores a new token, unless another process has stored one since.
    async fn publish(
        &self,
        version: Option<Version>,
        before: Option<Id>,
        record: &Record,
        keep: Duration,
    ) -> Result<(), BoxError> {
        let (mut is_known, mut expected) = (version.is_some(), version);
        loop {
            if is_known && self.swap(expected.as_ref(), record, keep).await?.is_some() {
                return Ok(());
            }
            let found = self.load_record(&self.record_name).await?;
            if found.token.is_some_and(|(info, _)| info.is_valid(self.now()) && Some(info.id) != before) {
                return Ok(());
            }
            (is_known, expected) = (true, found.version);
        }
    }

    /// The record that tells the other processes of a failed fetch.
    fn pause(&self, holder: Id, error: &BoxError, loaded: &Loaded<S::Token>) -> Option<Record> {
        let pause = MIN_PAUSE + (DEFAULT_MAX_PAUSE - MIN_PAUSE).mul_f64(random::fraction());
        let duration = pause.max(requested_delay(error).unwrap_or_default()).min(MAX_PAUSE);
        // The beat of a pause differs from all beats of its lease.
        let holder = Holder { id: holder, beat: u32::MAX };
        let renewal = Renewal { kind: RenewalKind::Paused, holder, duration, written_at: self.now().wall() };
        let error = self.sealer.seal_error(&renewal, &short_text(&**error))?;
        Some(Record { renewal: Some(renewal), error, token: loaded.sealed_token.clone() })
    }

    /// Stores a new token if that is possible in time. It is returned in any case.
    async fn try_publish(
        &self,
        version: Option<Version>,
        before: Option<Id>,
        info: &TokenInfo,
        record: Option<Record>,
    ) {
        let Some(record) = record else { return };
        let publish = self.publish(version, before, &record, keep(info, self.now()));
        if !matches!(self.with_timeout(publish).await, Some(Ok(()))) {
            events::not_published(&self.sealer.name);
        }
    }

    /// Fetches without a lease.
    async fn fetch_alone(&self, store: StoreState) -> Result<TemporaryToken<S::Token>, BoxError> {
        let started_at = self.now().wall();
        let token = self.source.fetch().await?;
        let (info, record) = self.record_of(&token, started_at);
        if let StoreState::Readable { token: before } = store {
            self.try_publish(None, before, &info, record).await;
        }
        self.memory().set_last(info);
        Ok(shared(token, &info))
    }

    async fn fetch_without_store(
        &self,
        error: BoxError,
        store: StoreState,
    ) -> Result<TemporaryToken<S::Token>, BoxError> {
        let plan = self.memory().plan_without_store(&self.settings, self.now());
        events::store_failed(&self.sealer.name, &error, plan == PlanWithoutStore::FetchAlone);
        match plan {
            PlanWithoutStore::FetchAlone => self.fetch_alone(store).await,
            PlanWithoutStore::Fail => Err(FleetError::Store(error).into()),
        }
    }
}

#[async_trait]
impl<S: TokenSource, C: Codec<S::Token>> TokenSource for SharedSource<S, C> {
    type Token = S::Token;

    async fn fetch(&self) -> Result<TemporaryToken<S::Token>, BoxError> {
        let mut interval = FIRST_INTERVAL;
        loop {
            let mut loaded = match self.load().await {
                Ok(loaded) => loaded,
                Err(error) => return self.fetch_without_store(error, StoreState::Failed).await,
            };
            let token = loaded.token.as_ref().map(|(info, _)| info);
            let plan = self.memory().plan(token, loaded.renewal.as_ref(), &self.settings, self.now());
            match (plan, loaded.token.take()) {
                (Plan::UseToken, Some((info, token))) => return Ok(self.use_token(info, token)),
                (Plan::Claim, token) => {
                    loaded.token = token;
                    let readable = StoreState::Readable { token: loaded.token.as_ref().map(|(info, _)| info.id) };
                    let Some(holder) = random::id() else { return self.fetch_alone(readable).await };
                    let lease = self.lease_record(Holder { id: holder, beat: 0 }, &loaded.sealed_token);
                    let Some(record) = lease else { return self.fetch_alone(readable).await };
                    let keep = self.settings.lease + MIN_KEEP;
                    match self.swap(loaded.version.as_ref(), &record, keep).await {
                        Ok(Some(version)) => return self.renew(holder, version, loaded).await,
                        Ok(None) => {}
                        Err(error) => {
                            let (memory, now) = (*self.memory(), self.now());
                            return match loaded.token.filter(|(info, _)| memory.is_usable(info, now)) {
                                // It is due, and better than a fetch without a lease.
                                Some((info, token)) => Ok(self.use_token(info, token)),
                                None => self.fetch_without_store(error, readable).await,
                            };
                        }
                    }
                }
                (Plan::Fail { retry_after: delay }, _) => {
                    return Err(retry_after(FleetError::Elsewhere(loaded.error.unwrap_or_default()), delay));
                }
                (Plan::FetchAlone, token) => {
                    events::waited_in_vain(&self.sealer.name);
                    let token = token.map(|(info, _)| info.id);
                    return self.fetch_alone(StoreState::Readable { token }).await;
                }
                (Plan::Wait | Plan::UseToken, _) => {}
            }
            self.sleep(interval.mul_f64(0.5 + random::fraction())).await;
            interval = (interval * 3 / 2).min(MAX_INTERVAL);
        }
    }
}

impl<S, C> fmt::Debug for SharedSource<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SharedSource");
        debug.field("name", &self.sealer.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A record, opened.
struct Loaded<T> {
    version: Option<Version>,
    renewal: Option<Renewal>,
    /// Of a pause. A lease has an empty one.
    error: Option<String>,
    token: Option<(TokenInfo, T)>,
    sealed_token: Vec<u8>,
}

/// What is known of the store when a process fetches without a lease.
#[derive(Clone, Copy)]
enum StoreState {
    /// It was just read, and had this token. So it is worth trying to store the new one.
    Readable {
        token: Option<Id>,
    },
    Failed,
}

/// A lease that this process holds.
struct Lease {
    holder: Holder,
    /// Of the record. `None`: unknown, or another process has changed it.
    version: Option<Version>,
}

fn lock(lease: &Mutex<Lease>) -> MutexGuard<'_, Lease> {
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn temporary_token<T>(token: T, info: &TokenInfo) -> TemporaryToken<T> {
    let token = match info.expires_at {
        Some(expires_at) => TemporaryToken::new(token, expires_at),
        None => TemporaryToken::never_expires(token),
    };
    shared(token, info)
}

/// A token that is refreshed when the fleet renews it.
fn shared<T>(token: TemporaryToken<T>, info: &TokenInfo) -> TemporaryToken<T> {
    match info.refresh_at {
        Some(refresh_at) => token.refresh_at(refresh_at),
        None => token,
    }
}

/// With the format of the record and the key, so that processes of another version or with another key do not overwrite it.
fn record_name(name: &str, fingerprint: &str) -> Box<str> {
    format!("{name}.v1.{fingerprint}").into()
}

/// How long a store has to keep the record of a token.
fn keep(info: &TokenInfo, now: TimePoint) -> Duration {
    let remaining = info.expires_at.map(|expires_at| expires_at.duration_since(now.wall()).unwrap_or_default());
    remaining.map_or(MAX_KEEP, |remaining| remaining.min(MAX_KEEP)) + MIN_KEEP
}

/// The messages of an error and its sources, as much as a record should have.
fn short_text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.chars().take(MAX_ERROR_LEN).collect()
}

const DEFAULT_LEASE: Duration = Duration::from_secs(3);
/// Twice the `fetch_timeout` of a cache.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(60);
/// As in a cache.
const DEFAULT_BUFFER: Duration = Duration::from_secs(300);
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at the record, drawn from half of it to one and a half.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);
const MAX_INTERVAL: Duration = Duration::from_millis(500);
/// After a failed fetch. Drawn, so that the fleet does not ask in step with the issuer's own intervals.
const MIN_PAUSE: Duration = Duration::from_secs(2);
const DEFAULT_MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long a record is kept beyond its token.
const MIN_KEEP: Duration = Duration::from_secs(60);
const MAX_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// In characters.
const MAX_ERROR_LEN: usize = 300;
