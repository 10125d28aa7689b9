//! [`mock_source`]: a source whose fetches the test answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::settled;
use crate::source::{BoxError, TokenSource, permanent};
use crate::token::TemporaryToken;

/// Creates a source for the cache, and the handle with which the test answers its fetches.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::TokenCache;
/// # use token_cache_core::test_util::mock_source;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), token_cache_core::Error> {
/// let (source, mut handle) = mock_source();
/// let cache = TokenCache::builder(source).build();
/// let (token, ()) = tokio::join!(cache.get(), async {
///     handle.next_fetch().await.succeed_for("a", Duration::from_secs(3600));
/// });
/// assert_eq!(*token?, "a");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn mock_source<T: Send + Sync + 'static>() -> (MockSource<T>, SourceHandle<T>) {
    let (fetches, pending) = mpsc::unbounded_channel();
    let started = Arc::new(AtomicUsize::new(0));
    (MockSource { fetches, started: Arc::clone(&started) }, SourceHandle { pending, started })
}

/// The source that [`mock_source`] returns.
pub struct MockSource<T> {
    fetches: mpsc::UnboundedSender<Fetch<T>>,
    started: Arc<AtomicUsize>,
}

/// Receives and counts the fetches of a [`MockSource`].
pub struct SourceHandle<T> {
    pending: mpsc::UnboundedReceiver<Fetch<T>>,
    started: Arc<AtomicUsize>,
}

/// A fetch that waits for its answer. If it is dropped, the source never answers.
#[must_use = "a fetch that is dropped never gets an answer"]
pub struct Fetch<T> {
    answer: oneshot::Sender<Answer<T>>,
}

enum Answer<T> {
    Result(Result<TemporaryToken<T>, BoxError>),
    Panic,
}

impl<T> SourceHandle<T> {
    /// Waits for the next fetch that the test has not received yet.
    ///
    /// # Panics
    ///
    /// - If no fetch has started when all other tasks wait: see [`settled`]. Where a fetch needs more than that, because a
    ///   request over a socket causes it, use [`wait_for_fetch`](Self::wait_for_fetch).
    /// - If the cache is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.succeed_for("a", Duration::from_secs(3600));
    /// assert_eq!(*get.await.unwrap()?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next_fetch(&mut self) -> Fetch<T> {
        match self.try_next_fetch().await {
            Some(fetch) => fetch,
            None => panic!("no fetch was started: {} so far, and all tasks wait", self.fetches()),
        }
    }

    /// As [`next_fetch`](Self::next_fetch), but returns `None` where that panics because no fetch has started.
    ///
    /// For a test that answers only if it is asked:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::SourceHandle;
    /// # async fn example(source: &mut SourceHandle<&str>) {
    /// if let Some(fetch) = source.try_next_fetch().await {
    ///     fetch.succeed_for("token", Duration::from_secs(3600));
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the cache is dropped.
    pub async fn try_next_fetch(&mut self) -> Option<Fetch<T>> {
        if let Ok(fetch) = self.pending.try_recv() {
            return Some(fetch);
        }
        settled().await;
        match self.pending.try_recv() {
            Ok(fetch) => Some(fetch),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => panic!("{DROPPED}"),
        }
    }

    /// Waits for the next fetch, for as long as it takes.
    ///
    /// # Panics
    ///
    /// If the cache is dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.source.wait_for_fetch().await.succeed_for("a", Duration::from_secs(3600));
    /// assert_eq!(*get.await.unwrap()?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for_fetch(&mut self) -> Fetch<T> {
        self.pending.recv().await.expect(DROPPED)
    }

    /// Waits until all other tasks wait, and asserts that no fetch has started that the test has not received.
    ///
    /// # Panics
    ///
    /// If one has.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// harness.source.assert_no_fetch().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn assert_no_fetch(&mut self) {
        settled().await;
        assert!(self.pending.try_recv().is_err(), "unexpected fetch");
    }

    /// Returns the number of fetches started so far.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// assert_eq!(harness.source.fetches(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }
}

impl<T> Fetch<T> {
    /// Answers with a token.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.succeed(token_cache_core::TemporaryToken::never_expires("a"));
    /// assert_eq!(*get.await.unwrap()?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub fn succeed(self, token: TemporaryToken<T>) {
        self.answer(Answer::Result(Ok(token)));
    }

    /// Answers with a token that is valid for `lifetime` from the start of this fetch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.succeed_for("a", Duration::from_secs(3600));
    /// assert_eq!(*get.await.unwrap()?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub fn succeed_for(self, token: T, lifetime: Duration) {
        self.succeed(TemporaryToken::expires_in(token, lifetime));
    }

    /// Answers with an error.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::ErrorKind;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// # let _: &token_cache_core::TokenCache<&str> = &cache;
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.fail("the issuer is down");
    /// assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Source);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail(self, error: impl Into<BoxError>) {
        self.answer(Answer::Result(Err(error.into())));
    }

    /// Answers with an error that is marked as [`permanent`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::ErrorKind;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// # let _: &token_cache_core::TokenCache<&str> = &cache;
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.fail_permanently("no such role");
    /// assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Permanent);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail_permanently(self, error: impl Into<BoxError>) {
        self.answer(Answer::Result(Err(permanent(error))));
    }

    /// Makes the source panic.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::ErrorKind;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// # let _: &token_cache_core::TokenCache<&str> = &cache;
    /// let get = harness.spawn_get();
    /// harness.source.next_fetch().await.panic();
    /// assert_eq!(get.await.unwrap().unwrap_err().kind(), ErrorKind::Panicked);
    /// # Ok(())
    /// # }
    /// ```
    pub fn panic(self) {
        self.answer(Answer::Panic);
    }

    /// Waits until the cache has dropped this fetch: it timed out, or the last handle of the cache was dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::TemporaryToken;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # let cache = harness.cache.clone();
    /// let get = harness.spawn_get();
    /// let mut fetch = harness.source.next_fetch().await;
    /// cache.store(TemporaryToken::never_expires("a"))?; // the fetch is not needed any more
    /// fetch.aborted().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn aborted(&mut self) {
        self.answer.closed().await;
    }

    fn answer(self, answer: Answer<T>) {
        // An error means that the cache has dropped the fetch.
        let _ = self.answer.send(answer);
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> TokenSource for MockSource<T> {
    type Token = T;

    async fn fetch(&self) -> Result<TemporaryToken<T>, BoxError> {
        let (answer, answered) = oneshot::channel();
        self.started.fetch_add(1, Ordering::SeqCst);
        if self.fetches.send(Fetch { answer }).is_err() {
            return Err("the test has dropped the handle of this source".into());
        }
        match answered.await {
            Ok(Answer::Result(result)) => result,
            Ok(Answer::Panic) => panic!("the test made this source panic"),
            Err(_) => std::future::pending().await,
        }
    }
}

impl<T> fmt::Debug for MockSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockSource").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SourceHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceHandle").field("fetches", &self.fetches()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Fetch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

const DROPPED: &str = "the cache was dropped: no fetch will start";
