//! [`mock_source`]: a source whose every answer is the test's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait, permanent};
use tokio::sync::{mpsc, oneshot};

/// A source for the cache, and the handle from which the test answers its fetches.
#[must_use]
pub fn mock_source<T: Send + Sync + 'static>() -> (MockSource<T>, SourceHandle<T>) {
    let (fetches, incoming) = mpsc::unbounded_channel();
    let asked = Arc::new(AtomicUsize::new(0));
    (MockSource { fetches, asked: Arc::clone(&asked) }, SourceHandle { incoming, asked })
}

/// The cache's end of [`mock_source`].
pub struct MockSource<T> {
    fetches: mpsc::UnboundedSender<Fetch<T>>,
    asked: Arc<AtomicUsize>,
}

/// The test's end of [`mock_source`].
pub struct SourceHandle<T> {
    incoming: mpsc::UnboundedReceiver<Fetch<T>>,
    asked: Arc<AtomicUsize>,
}

/// A fetch that waits for its answer. Dropped without one, it never gets any.
#[must_use = "a fetch that is dropped never gets an answer"]
pub struct Fetch<T> {
    answer: oneshot::Sender<Answer<T>>,
}

enum Answer<T> {
    Result(Result<TemporaryToken<T>, BoxError>),
    Panic,
}

impl<T> SourceHandle<T> {
    /// Waits for the next fetch that nobody has answered yet.
    ///
    /// # Panics
    ///
    /// If no cache is left that could fetch.
    pub async fn next_fetch(&mut self) -> Fetch<T> {
        match self.incoming.recv().await {
            Some(fetch) => fetch,
            None => panic!("the cache is gone: no fetch will come"),
        }
    }

    /// Lets all other tasks of a current-thread runtime run until they wait, and asserts that none of them fetches.
    ///
    /// # Panics
    ///
    /// If one does.
    pub async fn assert_no_fetch(&mut self) {
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        assert!(self.incoming.try_recv().is_err(), "a fetch that should not have been");
    }

    /// How many fetches have begun so far.
    #[must_use]
    pub fn fetches(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl<T> Fetch<T> {
    /// Answers with a token.
    pub fn succeed(self, token: TemporaryToken<T>) {
        self.answer(Answer::Result(Ok(token)));
    }

    /// Answers with an error.
    pub fn fail(self, error: impl Into<BoxError>) {
        self.answer(Answer::Result(Err(error.into())));
    }

    /// Answers with an error that is marked as permanent.
    pub fn fail_permanently(self, error: impl Into<BoxError>) {
        self.answer(Answer::Result(Err(permanent(error))));
    }

    /// Makes the source panic.
    pub fn panic(self) {
        self.answer(Answer::Panic);
    }

    /// Waits until the cache has given this fetch up: its handles are gone, or it has timed out.
    pub async fn aborted(&mut self) {
        self.answer.closed().await;
    }

    fn answer(self, answer: Answer<T>) {
        // The cache may have given the fetch up.
        let _ = self.answer.send(answer);
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> TokenSource for MockSource<T> {
    type Token = T;

    async fn fetch(&self) -> Result<TemporaryToken<T>, BoxError> {
        let (answer, answered) = oneshot::channel();
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.fetches.send(Fetch { answer }).is_err() {
            return Err("the test has dropped its handle".into());
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

/// More turns than any task of a cache takes from being woken to waiting again.
const YIELDS: usize = 32;
