//! [`TokenSource`]: what gets a new token.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::token::TemporaryToken;

/// Any error a source may fail with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Gets new tokens from whoever issues them: one call of [`fetch`](Self::fetch) is one question asked.
///
/// A source does not cache, retry or time out on the cache's behalf: pacing, sharing and
/// [`fetch_timeout`](crate::TokenCacheBuilder::fetch_timeout) are the cache's part.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait};
/// struct Metadata;
///
/// #[async_trait]
/// impl TokenSource for Metadata {
///     type Token = String;
///
///     async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
///         Ok(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
///     }
/// }
/// ```
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// What is handed out, as `Arc<Token>`.
    type Token: Send + Sync + 'static;

    /// Asks for a new token.
    ///
    /// Runs in a task of its own, never twice at once for one cache. It is dropped at an await point when it outlasts
    /// the `fetch_timeout`, or when the last handle of the cache is gone.
    ///
    /// # Errors
    ///
    /// Whatever went wrong. The callers see it as [`Error::source`](std::error::Error::source), so its text must hold
    /// no secret. Wrapped in [`permanent`], callers are told that asking again will not help.
    async fn fetch(&self) -> Result<TemporaryToken<Self::Token>, BoxError>;
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    type Token = S::Token;

    async fn fetch(&self) -> Result<TemporaryToken<Self::Token>, BoxError> {
        (**self).fetch().await
    }
}

/// A source made of an async closure.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
/// # async fn ask() -> std::io::Result<(String, SystemTime)> { Ok(("a".into(), SystemTime::now())) }
/// let source = source_fn(|| async {
///     let (token, expires_at) = ask().await?;
///     Ok::<_, std::io::Error>(TemporaryToken::new(token, expires_at))
/// });
/// let cache = TokenCache::builder(source).build();
/// # drop(cache);
/// ```
pub fn source_fn<F, Fut, T, E>(fetch: F) -> impl TokenSource<Token = T>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<TemporaryToken<T>, E>> + Send + 'static,
    T: Send + Sync + 'static,
    E: Into<BoxError> + Send + 'static,
{
    SourceFn(fetch)
}

struct SourceFn<F>(F);

#[async_trait]
impl<F, Fut, T, E> TokenSource for SourceFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<TemporaryToken<T>, E>> + Send + 'static,
    T: Send + Sync + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Token = T;

    async fn fetch(&self) -> Result<TemporaryToken<T>, BoxError> {
        (self.0)().await.map_err(Into::into)
    }
}

/// Marks an error as one that asking again will not mend: a role that does not exist, a key that was revoked.
///
/// Callers see [`ErrorKind::Permanent`](crate::ErrorKind::Permanent). The cache asks again all the same, no faster than
/// after any other failure, so that it recovers by itself once somebody has mended the cause.
pub fn permanent(error: impl Into<BoxError>) -> BoxError {
    Box::new(Permanent(error.into()))
}

pub(crate) struct Permanent(pub(crate) BoxError);

impl fmt::Debug for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Permanent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
