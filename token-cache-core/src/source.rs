//! [`TokenSource`]: fetches new tokens.

use std::error::Error as StdError;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::token::TemporaryToken;

/// Any error of a source.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Fetches new tokens from their issuer. Each call of [`fetch`](Self::fetch) makes one request.
///
/// A source does not cache, share or time out: the cache does that, with
/// [`fetch_timeout`](crate::TokenCacheBuilder::fetch_timeout). Retries within one fetch are up to the source.
///
/// A source must not hold a handle of the cache that it serves: neither would ever be dropped. A
/// [`WeakTokenCache`](crate::WeakTokenCache) is fine.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait};
/// struct MetadataServer;
///
/// #[async_trait]
/// impl TokenSource for MetadataServer {
///     type Token = String;
///
///     async fn fetch(&self) -> Result<TemporaryToken<String>, BoxError> {
///         Ok(TemporaryToken::expires_in("token".to_owned(), Duration::from_secs(3600)))
///     }
/// }
/// ```
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// The token that the cache returns as `Arc<Token>`.
    type Token: Send + Sync + 'static;

    /// Requests a new token.
    ///
    /// A cache runs this in a task, once at a time. It drops the future at an await point after the `fetch_timeout`, or when
    /// the last handle of the cache is dropped.
    ///
    /// # Errors
    ///
    /// Any failure. Callers see it as [`Error::source`](std::error::Error::source), so its text must not contain secrets. Wrap
    /// it in [`permanent`] if retrying cannot help.
    async fn fetch(&self) -> Result<TemporaryToken<Self::Token>, BoxError>;
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    type Token = S::Token;

    async fn fetch(&self) -> Result<TemporaryToken<Self::Token>, BoxError> {
        (**self).fetch().await
    }
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Box<S> {
    type Token = S::Token;

    async fn fetch(&self) -> Result<TemporaryToken<Self::Token>, BoxError> {
        (**self).fetch().await
    }
}

/// Creates a source from an async closure.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use token_cache_core::{TemporaryToken, TokenCache, source_fn};
/// # async fn request() -> std::io::Result<(String, SystemTime)> { Ok(("a".into(), SystemTime::now())) }
/// let source = source_fn(|| async {
///     let (token, expires_at) = request().await?;
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

/// Marks an error as permanent: retrying cannot help, because a role does not exist or a secret is wrong.
///
/// Callers get [`ErrorKind::Permanent`](crate::ErrorKind::Permanent), also if the marked error is wrapped in others. The cache
/// keeps fetching, so it recovers once the cause is fixed, but backs off up to the
/// [`max_backoff`](crate::TokenCacheBuilder::max_backoff) even while it has no token: some issuers lock an account after
/// repeated failures. [`TokenCache::refresh`](crate::TokenCache::refresh) does not wait for that.
///
/// ```
/// # use token_cache_core::{TemporaryToken, permanent, source_fn};
/// let source = source_fn(|| async { Err::<TemporaryToken<()>, _>(permanent("no such role")) });
/// ```
pub fn permanent(error: impl Into<BoxError>) -> BoxError {
    Box::new(Permanent(error.into()))
}

/// Marks an error with the time for which the issuer asked to be left alone, as `Retry-After` in HTTP does
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
///
/// The cache does not fetch again before that, unless a caller [refreshes](crate::TokenCache::refresh) it.
/// [`Error::retry_after`](crate::Error::retry_after) returns it to callers. At most one day is waited.
///
/// ```
/// # use std::time::Duration;
/// # use token_cache_core::{TemporaryToken, retry_after, source_fn};
/// // The issuer has answered 429 with `Retry-After: 60`.
/// let source = source_fn(|| async { Err::<TemporaryToken<()>, _>(retry_after("too many requests", Duration::from_secs(60))) });
/// ```
pub fn retry_after(error: impl Into<BoxError>, duration: Duration) -> BoxError {
    Box::new(RetryAfter { error: error.into(), duration })
}

/// Returns the time for which the issuer asked to be left alone, if `error` or one of its sources is marked by [`retry_after`].
/// For a source that wraps another one.
///
/// ```
/// # use std::time::Duration;
/// use token_cache_core::{permanent, requested_delay, retry_after};
///
/// let error = permanent(retry_after("busy", Duration::from_secs(30)));
/// assert_eq!(requested_delay(&error), Some(Duration::from_secs(30)));
/// assert_eq!(requested_delay(&"busy".into()), None);
/// ```
#[must_use]
pub fn requested_delay(error: &BoxError) -> Option<Duration> {
    marked_chain(&**error).find_map(|error| error.downcast_ref::<RetryAfter>()).map(|mark| mark.duration)
}

/// The error and its sources. A mark hides the error that it marks from [`StdError::source`], but not here.
pub(crate) fn marked_chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |&error| {
        let permanent = error.downcast_ref::<Permanent>().map(|mark| &mark.0);
        let marked = permanent.or_else(|| error.downcast_ref::<RetryAfter>().map(|mark| &mark.error));
        marked.map(|error| &**error as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

/// A mark. It is transparent in messages and error chains.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Permanent(pub(crate) BoxError);

/// A mark. It is transparent in messages and error chains.
#[derive(Debug)]
pub(crate) struct RetryAfter {
    pub(crate) error: BoxError,
    pub(crate) duration: Duration,
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for RetryAfter {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}
