//! [`Secret`]: what a request has to present.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use subtle::ConstantTimeEq;

/// The secret that each request has to present. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// 32 random bytes, as hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    ///
    /// ```
    /// # use token_cache_agent::Secret;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = Secret::random()?;
    /// assert_eq!(secret.expose().len(), 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn random() -> io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(Self(hex::encode(secret)))
    }

    /// A secret of your own: printable ASCII, at least 16 characters.
    ///
    /// # Errors
    ///
    /// Another text ([`InvalidInput`](io::ErrorKind::InvalidInput)).
    ///
    /// ```
    /// # use token_cache_agent::Secret;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert!(Secret::new("short").is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(secret: impl Into<String>) -> io::Result<Self> {
        let secret = secret.into();
        if secret.len() < 16 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = "a secret has at least 16 characters, all of them printable ASCII";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(Self(secret))
    }

    /// Writes the secret to a file with mode 600, for `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`. An existing file is replaced.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    ///
    /// ```no_run
    /// # use token_cache_agent::Secret;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// Secret::random()?.write_to("/run/my-service/agent.token")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&temporary)?.write_all(self.0.as_bytes())?;
        std::fs::rename(temporary, path)
    }

    /// The secret itself, for `IDENTITY_HEADER`.
    ///
    /// ```
    /// # use token_cache_agent::Secret;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let header = format!("Bearer {}", Secret::random()?.expose());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Takes as long for a wrong guess as for a right one.
    pub(crate) fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}
