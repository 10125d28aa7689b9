//! [`AccessToken`], and the credentials of object_store that it becomes.

use std::fmt;

/// An access token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps the text of a token.
    ///
    /// ```
    /// # use token_cache_oauth2::AccessToken;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let token = AccessToken::new("secret");
    /// assert!(!format!("{token:?}").contains("secret"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The text of the token, for the header `Authorization: Bearer`.
    ///
    /// ```
    /// # use token_cache_oauth2::AccessToken;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert_eq!(AccessToken::new("secret").secret(), "secret");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Converts the token to the credential of a store, for a view of a cache: `cache.view(AccessToken::to::<GcpCredential>)`.
    ///
    /// ```
    /// # use token_cache_oauth2::AccessToken;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// struct Header(String);
    ///
    /// impl From<&AccessToken> for Header {
    ///     fn from(token: &AccessToken) -> Self {
    ///         Self(format!("Bearer {}", token.secret()))
    ///     }
    /// }
    ///
    /// assert_eq!(AccessToken::new("secret").to::<Header>().0, "Bearer secret");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn to<C: for<'a> From<&'a Self>>(&self) -> C {
        C::from(self)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(**redacted**)")
    }
}

macro_rules! credentials {
    ($feature:literal, $object_store:ident) => {
        #[cfg(feature = $feature)]
        impl From<&AccessToken> for ::$object_store::gcp::GcpCredential {
            fn from(token: &AccessToken) -> Self {
                Self { bearer: token.secret().to_owned() }
            }
        }

        #[cfg(feature = $feature)]
        impl From<&AccessToken> for ::$object_store::azure::AzureCredential {
            fn from(token: &AccessToken) -> Self {
                Self::BearerToken(token.secret().to_owned())
            }
        }
    };
}

credentials!("object_store-0_12", object_store_0_12);
credentials!("object_store-0_13", object_store_0_13);
credentials!("object_store-0_14", object_store);
