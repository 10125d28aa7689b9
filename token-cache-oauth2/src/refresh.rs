//! [`Refresh`]: tokens for a user who has logged in.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use token_cache_core::{BoxError, TemporaryToken, TokenSource, async_trait};

use crate::client::{Client, TokenRequest};
use crate::error::FetchError;
use crate::response::request_token;
use crate::token::AccessToken;

/// The refresh token grant ([RFC 6749, section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
///
/// An issuer that rotates refresh tokens returns the next one with each answer. It is kept in memory, and
/// [`on_rotation`](Self::on_rotation) can store it. If an answer is lost, such an issuer may take the next use of the old refresh
/// token for theft and revoke the login ([RFC 9700, section 4.14](https://www.rfc-editor.org/rfc/rfc9700#section-4.14)). Set the
/// cache's `fetch_timeout` well above the latency of the issuer, and use a source for one cache only.
pub struct Refresh {
    client: Client,
    request: TokenRequest,
    default_lifetime: Option<Duration>,
    hook: Option<Hook>,
    login: Mutex<Login>,
}

type Hook = Box<dyn Fn(String) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// The refresh token, and whether the hook still has to store it.
#[derive(Clone)]
struct Login {
    refresh_token: String,
    unsaved: bool,
}

impl Refresh {
    /// Creates a source that starts with the refresh token of a login.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, Refresh, TokenRequest};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = Refresh::new(Client::new("https://login.example.com/token", "my-service")?, "the stored refresh token");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(client: Client, refresh_token: impl Into<String>) -> Self {
        let login = Mutex::new(Login { refresh_token: refresh_token.into(), unsaved: false });
        Self { client, request: TokenRequest::default(), default_lifetime: None, hook: None, login }
    }

    /// Asks for a part of the scopes of the login.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, Refresh, TokenRequest};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new("https://login.example.com/token", "my-service")?;
    /// let source = Refresh::new(client, "the stored refresh token").request(TokenRequest::scopes(["read"]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn request(mut self, request: TokenRequest) -> Self {
        self.request = request;
        self
    }

    /// The lifetime of tokens for which the issuer states none. By default, they are used until they are invalidated.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, Refresh, TokenRequest};
    /// # use std::time::Duration;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new("https://login.example.com/token", "my-service")?;
    /// let source = Refresh::new(client, "the stored refresh token").default_lifetime(Duration::from_secs(600));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(lifetime);
        self
    }

    /// Stores each rotated refresh token before the new access token is used.
    ///
    /// If the hook fails, the fetch fails. The new refresh token is kept: the next fetch calls the hook with it first, and does
    /// not call the issuer before the hook succeeds.
    ///
    /// ```
    /// # use token_cache_oauth2::{Client, Refresh, TokenRequest};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new("https://login.example.com/token", "my-service")?;
    /// let source = Refresh::new(client, "the stored refresh token")
    ///     .on_rotation(|rotated| async move { std::fs::write("refresh-token", rotated) });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_rotation<F, Fut, E>(mut self, store: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hook = Some(Box::new(move |token| {
            let stored = store(token);
            Box::pin(async { stored.await.map_err(Into::into) })
        }));
        self
    }

    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn save(&self) -> Result<(), FetchError> {
        let login = self.login().clone();
        let (true, Some(hook)) = (login.unsaved, &self.hook) else { return Ok(()) };
        hook(login.refresh_token.clone()).await.map_err(FetchError::hook)?;
        let mut current = self.login();
        if current.refresh_token == login.refresh_token {
            current.unsaved = false;
        }
        Ok(())
    }
}

#[async_trait]
impl TokenSource for Refresh {
    type Token = AccessToken;

    async fn fetch(&self) -> Result<TemporaryToken<AccessToken>, BoxError> {
        self.save().await?;
        let current = self.login().refresh_token.clone();
        let grant = [("grant_type", "refresh_token"), ("refresh_token", &current)];
        let mut response = request_token(self.client.request(&grant, &self.request).await?).await?;
        // Before the next await, where the cache may drop this future.
        if let Some(refresh_token) = response.refresh_token.take().filter(|next| *next != current) {
            *self.login() = Login { refresh_token, unsaved: true };
        }
        self.save().await?;
        Ok(response.or_lifetime(self.default_lifetime))
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").field("client", &self.client).field("request", &self.request).finish_non_exhaustive()
    }
}
