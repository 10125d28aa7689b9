//! What can be chosen before the kit starts.

use std::fmt;
use std::io;
use std::time::Duration;

use super::FakeAws;
use super::issuer::Issuer;
use super::keys::{AccessKey, Identity};
use super::s3::S3;
use super::serve::{Server, bind};
use super::sigv4::SharedKeys;
use super::state::Settings;

/// Settings for an [`FakeAws`], from [`FakeAws::builder`].
#[derive(Clone)]
#[must_use = "nothing runs before `start`"]
pub struct FakeAwsBuilder {
    s3_port: u16,
    issuer_port: u16,
    session_lifetime: Duration,
    delay: Duration,
    region: String,
    container_token: Option<String>,
}

impl FakeAwsBuilder {
    /// The port of the S3 server on 127.0.0.1. The default is 0, which takes
    /// any that is free.
    pub fn s3_port(mut self, port: u16) -> Self {
        self.s3_port = port;
        self
    }

    /// The port of the issuer on 127.0.0.1. The default is 0, which takes any
    /// that is free.
    pub fn issuer_port(mut self, port: u16) -> Self {
        self.issuer_port = port;
        self
    }

    /// How long sessions live, by default 15 minutes; see
    /// [`Issuer::set_session_lifetime`].
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// How long each request for credentials waits, by default not at all;
    /// see [`Issuer::set_delay`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The region that the environments and IMDS tell, by default
    /// `us-east-1`. Signatures for another are accepted too.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Makes the container endpoint ask for this `Authorization`: without it
    /// the answer is 401, with another one 403. By default anybody is
    /// answered.
    pub fn container_authorization_token(mut self, token: impl Into<String>) -> Self {
        self.container_token = Some(token.into());
        self
    }

    /// Starts both servers; they answer as soon as this returns. They have a
    /// thread of their own, so any executor may poll this, and may end before
    /// they do.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`] and the like if a port cannot be listened
    /// on; the message names the address. Also what the system has to say
    /// when there is no more room for a folder or a thread.
    pub async fn start(self) -> io::Result<FakeAws> {
        let s3_listener = bind(self.s3_port)?;
        let issuer_listener = bind(self.issuer_port)?;
        let folder = tempfile::Builder::new().prefix("aws-kit-").tempdir()?;

        let long_term_key = AccessKey::long_term(Identity::user(), &mut rand::rng());
        let keys = SharedKeys::default();
        keys.lock().insert(long_term_key.clone());

        let s3 = S3::new(s3_listener.local_addr()?, folder.path(), keys.clone())?;
        let settings = Settings { lifetime: self.session_lifetime, delay: self.delay, reuse: None };
        let issuer = Issuer::new(issuer_listener.local_addr()?, self.region, self.container_token, keys, settings);
        let server = Server::start((s3_listener, s3.clone()), (issuer_listener, issuer.clone())).await?;
        Ok(FakeAws { s3, issuer, long_term_key, _server: server, _folder: folder })
    }
}

impl Default for FakeAwsBuilder {
    fn default() -> Self {
        Self {
            s3_port: 0,
            issuer_port: 0,
            session_lifetime: DEFAULT_LIFETIME,
            delay: Duration::ZERO,
            region: "us-east-1".into(),
            container_token: None,
        }
    }
}

impl fmt::Debug for FakeAwsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeAwsBuilder")
            .field("s3_port", &self.s3_port)
            .field("issuer_port", &self.issuer_port)
            .field("session_lifetime", &self.session_lifetime)
            .field("delay", &self.delay)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The shortest that STS grants.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_the_kit_removes_its_folder() {
        let aws = FakeAws::builder().start().await.unwrap();
        aws.s3().create_bucket("bucket").unwrap();
        let folder = aws._folder.path().to_owned();
        assert!(folder.join("bucket").is_dir());
        drop(aws);
        assert!(!folder.exists());
    }
}
