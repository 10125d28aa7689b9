//! [`Password`].

use std::fmt;

/// A password for a database. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(crate) const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The text of the password.
    ///
    /// ```
    /// # async fn example(cache: token_cache_core::TokenCache<token_cache_rds::Password>) -> Result<(), Box<dyn std::error::Error>> {
    /// let password = cache.get().await?;
    /// let options = format!("password={}", password.secret());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(**redacted**)")
    }
}
