//! [`Client`]: a registered client of an issuer, and [`TokenRequest`]: what it asks for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};

use crate::error::FetchError;

/// A client that is registered with an issuer. Clones share one HTTP client. `Debug` shows neither secret nor URL parameters.
#[derive(Clone)]
pub struct Client {
    token_url: Url,
    id: Arc<str>,
    authentication: Authentication,
    http: reqwest::Client,
}

#[derive(Clone)]
enum Authentication {
    None,
    Basic(Arc<str>),
    Body(Arc<str>),
    AssertionFile(Arc<PathBuf>),
}

impl Client {
    /// A client without a secret. The HTTP client follows no redirects, which could send a secret to another host.
    ///
    /// # Errors
    ///
    /// If `token_url` is not a URL of HTTP, or TLS cannot be set up.
    ///
    /// ```
    /// # use token_cache_oauth2::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(token_url: &str, id: impl Into<String>) -> Result<Self, ConfigError> {
        let token_url = Url::parse(token_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let http = reqwest::Client::builder().redirect(Policy::none()).build();
        Ok(Self {
            token_url: token_url.ok_or(ConfigError::TokenUrl)?,
            id: id.into().into(),
            authentication: Authentication::None,
            http: http.map_err(ConfigError::Http)?,
        })
    }

    /// Sends the secret in the header `Authorization: Basic`, which every issuer must support ([RFC 6749, section
    /// 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    ///
    /// ```
    /// # use token_cache_oauth2::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?.secret("from a file");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.authentication = Authentication::Basic(secret.into().into());
        self
    }

    /// Sends the secret as the parameter `client_secret`, for issuers that do not accept the header.
    ///
    /// ```
    /// # use token_cache_oauth2::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?.secret_in_body("from a file");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn secret_in_body(mut self, secret: impl Into<String>) -> Self {
        self.authentication = Authentication::Body(secret.into().into());
        self
    }

    /// Authenticates with the JWT in a file ([RFC 7523, section 2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)), such
    /// as the service account token of a Kubernetes pod. The file is read for each request, because Kubernetes replaces it.
    ///
    /// ```
    /// # use token_cache_oauth2::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?.assertion_file("/var/run/secrets/tokens/token");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn assertion_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authentication = Authentication::AssertionFile(Arc::new(path.into()));
        self
    }

    /// Sends the requests with another HTTP client. Disable its redirects.
    ///
    /// ```
    /// # use token_cache_oauth2::Client;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new("https://login.example.com/token", "my-service")?.http_client(reqwest::Client::new());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http_client(mut self, http: reqwest::Client) -> Self {
        self.http = http;
        self
    }

    pub(crate) async fn request(
        &self,
        grant: &[(&str, &str)],
        access: &TokenRequest,
    ) -> Result<RequestBuilder, FetchError> {
        let mut form: Vec<(&str, String)> = grant.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        if !access.scopes.is_empty() {
            form.push(("scope", access.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")));
        }
        form.extend(access.audience.clone().map(|audience| ("audience", audience)));
        form.extend(access.resource.clone().map(|resource| ("resource", resource)));
        let mut request = self.http.post(self.token_url.clone()).header("accept", "application/json");
        match &self.authentication {
            Authentication::Basic(secret) => request = request.basic_auth(encode(&self.id), Some(encode(secret))),
            Authentication::None => form.push(("client_id", self.id.to_string())),
            Authentication::Body(secret) => {
                form.extend([("client_id", self.id.to_string()), ("client_secret", secret.to_string())]);
            }
            Authentication::AssertionFile(path) => {
                let assertion = tokio::fs::read_to_string(&**path).await.map_err(FetchError::assertion_file)?;
                form.push(("client_id", self.id.to_string()));
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
                ));
                form.push(("client_assertion", assertion.trim().to_owned()));
            }
        }
        Ok(request.form(&form))
    }
}

/// The header contains the form encoding of both, so that a colon in the id is not the separator.
fn encode(text: &str) -> String {
    use fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = self.token_url.host_str();
        f.debug_struct("Client").field("issuer", &issuer).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a client asks for: scopes, and an audience or a resource. Equal requests get equal tokens from one client, so this is
/// also the key for a cache per key. The order of scopes does not matter.
///
/// ```
/// # use token_cache_oauth2::TokenRequest;
/// assert_eq!(TokenRequest::scopes(["read", "write"]), TokenRequest::scopes(["write", "read"]));
/// assert_ne!(TokenRequest::scopes(["read"]), TokenRequest::scopes(["read"]).audience("https://api"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRequest {
    scopes: BTreeSet<String>,
    audience: Option<String>,
    resource: Option<String>,
}

impl TokenRequest {
    /// Asks for these scopes. Without any, the issuer applies its default.
    ///
    /// ```
    /// # use token_cache_oauth2::TokenRequest;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = TokenRequest::scopes(["read", "write"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        let split = |text: String| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Self { scopes: scopes.into_iter().flat_map(|scope| split(scope.into())).collect(), ..Self::default() }
    }

    /// Names the service that the token is for, as Auth0 and Okta do.
    ///
    /// ```
    /// # use token_cache_oauth2::TokenRequest;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = TokenRequest::scopes(["read"]).audience("https://api.example.com");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Names the service that the token is for, as [RFC 8707](https://www.rfc-editor.org/rfc/rfc8707) does.
    ///
    /// ```
    /// # use token_cache_oauth2::TokenRequest;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = TokenRequest::default().resource("https://api.example.com/");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }
}

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL of the token endpoint is wrong. The error does not show it, because it may contain a secret.
    #[error("the token endpoint is not a URL with http or https")]
    TokenUrl,
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client")]
    Http(#[source] reqwest::Error),
}
