//! [`SharedSource`]: a source that fetches once for all processes.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use token_cache_core::{BoxError, Clock, SystemClock, TemporaryToken, TimePoint, TokenSource, retry_after};

use crate::codec::Codec;
use crate::error::FleetError;
use crate::events;
use crate::keys::Keys;
use crate::plan::{Id, Memory, Plan, PlanWithoutStore, Renewal, Settings, TokenInfo};
use crate::random;
use crate::record::{Record, Sealer};
use crate::store::{Store, Version};

mod lease;
mod publish;

/// A token source that shares each token of another source with all processes that use the same [`Store`], name and [`Keys`].
///
/// The cache of each process works as before: a hit touches no store. When a token is due, the first process claims a lease
/// and fetches; the others take the token from the store. The lease saves fetches, and nothing depends on it: if the store
/// fails, each process fetches for itself.
///
/// Give each cache its own source: it remembers which token its cache has.
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
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]));
    /// # let _ = source;
    /// # }
    /// ```
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
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]))
    ///     .expiry_buffer_by(|lifetime| lifetime / 10);
    /// # let _ = source;
    /// # }
    /// ```
    #[must_use]
    pub fn expiry_buffer_by(mut self, buffer: impl Fn(Duration) -> Duration + Send + Sync + 'static) -> Self {
        self.expiry_buffer = Box::new(buffer);
        self
    }

    /// How long the other processes wait for one that was killed while it fetched. Default: 3 seconds, at least 30 ms, at most a
    /// minute. While a process fetches, it renews its lease three times in this time, so a fetch may take longer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]))
    ///     .lease(Duration::from_secs(10));
    /// # let _ = source;
    /// # }
    /// ```
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease.clamp(Duration::from_millis(30), Duration::from_secs(60));
        self
    }

    /// How long a process waits for another one that fetches, before it fetches for itself. Default: one minute, twice the
    /// `fetch_timeout` of a cache: a process that fetches has given up long before.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]))
    ///     .max_wait(Duration::from_secs(20));
    /// # let _ = source;
    /// # }
    /// ```
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.settings.max_wait = max_wait;
        self
    }

    /// Never fetches without a lease, also if the store does not respond: for grants that can be used only once, such as refresh
    /// tokens that rotate. Even so, two processes can fetch at once if one of them is suspended for longer than its lease.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]))
    ///     .never_alone();
    /// # let _ = source;
    /// # }
    /// ```
    #[must_use]
    pub const fn never_alone(mut self) -> Self {
        self.settings.may_fetch_alone = false;
        self
    }

    /// The clock, for tests. Default: [`SystemClock`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// use token_cache_core::{SystemClock, TemporaryToken, source_fn};
    /// use token_cache_fleet::{Keys, SharedSource, Utf8};
    ///
    /// # fn example(store: impl token_cache_fleet::Store) {
    /// let issuer = source_fn(|| async {
    ///     Ok::<_, std::io::Error>(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
    /// });
    /// let source = SharedSource::new(issuer, Utf8, store, "reader", Keys::new([7; 32]))
    ///     .clock(SystemClock::new()); // in a test: a `VirtualClock` of token-cache-testing
    /// # let _ = source;
    /// # }
    /// ```
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

    /// Returns the token of a record that is due, if it is still usable.
    fn use_due_token(&self, token: Option<(TokenInfo, S::Token)>) -> Option<TemporaryToken<S::Token>> {
        let (memory, now) = (*self.memory(), self.now());
        let (info, token) = token.filter(|(info, _)| memory.is_usable(info, now))?;
        Some(self.use_token(info, token))
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
                    if let Some(result) = self.claim(loaded).await {
                        return result;
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

const DEFAULT_LEASE: Duration = Duration::from_secs(3);
/// Twice the `fetch_timeout` of a cache.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(60);
/// As in a cache.
const DEFAULT_BUFFER: Duration = Duration::from_secs(300);
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at the record, drawn from half of it to one and a half.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);
const MAX_INTERVAL: Duration = Duration::from_millis(500);
