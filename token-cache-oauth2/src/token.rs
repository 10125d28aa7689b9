//! [`AccessToken`], and the credentials of object_store that it becomes.

use std::fmt;

/// An access token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps the text of a token.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The text of the token, for the header `Authorization: Bearer`.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Converts the token to the credential of a store, for a view of a cache: `cache.view(AccessToken::to::<GcpCredential>)`.
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
