//! [`Agent`]: the server.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use token_cache_core::{Error, TokenCache, TokenCaches};
use token_cache_oauth2::AccessToken;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::listener::{Listener, Stream};
use crate::secret::Secret;
use crate::{aws, azure, google, guard};

/// A server of cached tokens. Each protocol is served if it has a cache.
///
/// Clones share the caches.
#[derive(Clone, Debug)]
#[must_use = "an agent does nothing until it serves"]
pub struct Agent {
    pub(crate) secret: Secret,
    pub(crate) aws: Option<TokenCache<Credentials>>,
    pub(crate) google: Option<google::Identity>,
    pub(crate) azure: Option<TokenCaches<String, AccessToken>>,
}

/// When an agent refreshes a token of this lifetime: half of it before its expiry.
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hour = Duration::from_secs(3600);
/// assert_eq!(token_cache_agent::expiry_buffer(hour), hour / 2);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn expiry_buffer(lifetime: Duration) -> Duration {
    lifetime / 2
}

impl Agent {
    /// An agent that serves nothing yet. Requests of AWS and Azure have to present `secret`.
    ///
    /// ```
    /// # use token_cache_agent::{Agent, Secret};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = Agent::new(Secret::random()?);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn new(secret: Secret) -> Self {
        Self { secret, aws: None, google: None, azure: None }
    }

    /// Serves container credentials of AWS.
    ///
    /// ```
    /// # use token_cache_agent::{Agent, Secret};
    /// # async fn example(cache: token_cache_core::TokenCache<aws_credential_types::Credentials>) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = Agent::new(Secret::random()?).aws(cache);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aws(mut self, cache: TokenCache<Credentials>) -> Self {
        self.aws = Some(cache);
        self
    }

    /// Serves access tokens as the metadata server of Google Cloud does, as the default service account. Without a secret: the
    /// protocol has none. `email` is the name of the service account, and `project` the id of the project, for clients that ask
    /// for them.
    ///
    /// ```
    /// # use token_cache_agent::{Agent, Secret};
    /// # use token_cache_core::TokenCache;
    /// # use token_cache_oauth2::AccessToken;
    /// # fn example(cache: TokenCache<AccessToken>) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = Agent::new(Secret::random()?).google(cache, "reader@project.iam.gserviceaccount.com", "project");
    /// # Ok(())
    /// # }
    /// ```
    pub fn google(
        mut self,
        cache: TokenCache<AccessToken>,
        email: impl Into<String>,
        project: impl Into<String>,
    ) -> Self {
        self.google = Some(google::Identity { cache, email: email.into(), project: project.into() });
        self
    }

    /// Serves managed identity tokens of Azure. The key is the resource of a request, such as `https://storage.azure.com/`. Limit
    /// the [number of keys](token_cache_core::TokenCachesBuilder::max_keys): clients choose them.
    ///
    /// ```
    /// # use token_cache_agent::{Agent, Secret};
    /// # use token_cache_core::TokenCaches;
    /// # use token_cache_oauth2::AccessToken;
    /// # fn example(caches: TokenCaches<String, AccessToken>) -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = Agent::new(Secret::random()?).azure(caches);
    /// # Ok(())
    /// # }
    /// ```
    pub fn azure(mut self, caches: TokenCaches<String, AccessToken>) -> Self {
        self.azure = Some(caches);
        self
    }

    /// Serves until `stop` completes. Then it accepts no more connections, and waits up to 5 seconds for those that have a request.
    ///
    /// Dropping the future closes the listener; open connections go on for as long as their runtime.
    ///
    /// ```
    /// use token_cache_agent::{Agent, Listener, Secret};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    /// let (stop, stopped) = tokio::sync::oneshot::channel();
    /// let agent = tokio::spawn(Agent::new(Secret::random()?).serve(listener, async { stopped.await.unwrap_or(()) }));
    ///
    /// stop.send(()).unwrap();
    /// agent.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()>) {
        let (agent, hosts) = (Arc::new(self), Arc::<[String]>::from(&*listener.hosts));
        let (connections, graceful) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), GracefulShutdown::new());
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &connections) => accepted,
            };
            // Such as too many open files: it may pass.
            let Ok((stream, permit)) = accepted else {
                sleep(ACCEPT_INTERVAL).await;
                continue;
            };
            let (agent, hosts) = (Arc::clone(&agent), Arc::clone(&hosts));
            match stream {
                Stream::Tcp(stream) => spawn(stream, agent, hosts, permit, &graceful),
                #[cfg(unix)]
                Stream::Unix(stream) => spawn(stream, agent, hosts, permit, &graceful),
            }
        }
        drop(listener);
        // An error means that some request took longer.
        let _ = timeout(STOP_TIMEOUT, graceful.shutdown()).await;
    }

    async fn answer(&self, request: &Request<Incoming>, hosts: &[String]) -> Response<Full<Bytes>> {
        if let Err(status) = guard::check(request, hosts) {
            return refusal(status);
        }
        let mut response = match request.uri().path() {
            aws::PATH => aws::answer(self, request).await,
            azure::PATH => azure::answer(self, request).await,
            path if path == "/" || path.starts_with(google::PREFIX) => google::answer(self, request).await,
            _ => refusal(StatusCode::NOT_FOUND),
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

async fn accept(
    listener: &Listener,
    connections: &Arc<Semaphore>,
) -> io::Result<(Stream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?, permit))
}

fn spawn(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    agent: Arc<Agent>,
    hosts: Arc<[String]>,
    permit: tokio::sync::OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (agent, hosts) = (Arc::clone(&agent), Arc::clone(&hosts));
        async move { Ok::<_, Infallible>(agent.answer(&request, &hosts).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_LEN)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // Errors are those of a client: it has gone, or sent no HTTP.
        let _ = connection.await;
        drop(permit);
    });
}

pub(crate) fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

pub(crate) fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    // What is served here are strings and numbers, which do not fail.
    let mut response = Response::new(Full::from(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// No token. The reason is in the log of the agent, not in the answer.
pub(crate) fn unavailable(error: &Error) -> Response<Full<Bytes>> {
    let message = "the agent has no token at the moment: see its log";
    let mut response = json(&serde_json::json!({ "code": "Unavailable", "message": message }));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let seconds = error.retry_after().unwrap_or_default().as_secs().clamp(1, 3600);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_HEADER_LEN: usize = 16 << 10;
/// A host may have a few thousand processes, and each asks now and then.
const MAX_CONNECTIONS: usize = 1024;
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_INTERVAL: Duration = Duration::from_millis(100);
