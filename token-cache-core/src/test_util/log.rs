//! [`EventLog`]: the events of a cache, in order.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;

/// Collects the events of a cache. Clones share one log.
///
/// ```
/// # use token_cache_core::TokenCache;
/// # use token_cache_core::test_util::{EventLog, mock_source};
/// # let (source, _handle) = mock_source::<String>();
/// let log = EventLog::new();
/// let cache = TokenCache::builder(source).on_event(log.listener()).build();
/// assert!(log.take().is_empty());
/// # drop(cache);
/// ```
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    events: Arc<Mutex<Vec<Event>>>,
}

impl EventLog {
    /// Creates an empty log.
    ///
    /// ```
    /// # use token_cache_core::test_util::EventLog;
    /// assert!(EventLog::new().take().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the listener to pass to [`on_event`](crate::TokenCacheBuilder::on_event).
    ///
    /// ```
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_core::test_util::{EventLog, mock_source};
    /// # let (source, _handle) = mock_source::<String>();
    /// let log = EventLog::new();
    /// let cache = TokenCache::builder(source).on_event(log.listener()).build();
    /// ```
    pub fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let events = Arc::clone(&self.events);
        move |event| events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone())
    }

    /// Removes and returns the events since the last call, oldest first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use token_cache_core::Event;
    /// # use token_cache_core::test_util::Harness;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), token_cache_core::Error> {
    /// # let mut harness = Harness::<&str>::new();
    /// # harness.fetch("a", Duration::from_secs(3600)).await;
    /// # let cache = harness.cache.clone();
    /// assert!(matches!(harness.log.take()[..], [Event::FetchStarted { .. }, Event::FetchSucceeded { .. }]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
