//! [`FakeAwsBuilder`]: the settings that a fake AWS starts with.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use token_cache_core::{Clock, SystemClock};

use super::FakeAws;
use super::directory::Directory;
use super::issuer::Issuer;
use super::keys::{AccessKey, Identity};
use super::s3::S3;
use super::serve::{Server, bind};
use super::sigv4::SharedKeys;
use super::state::Settings;

/// Settings of a [`FakeAws`], from [`FakeAws::builder`].
#[derive(Clone)]
#[must_use = "nothing runs before `start`"]
pub struct FakeAwsBuilder {
    s3_port: u16,
    issuer_port: u16,
    session_lifetime: Duration,
    delay: Duration,
    region: String,
    container_token: Option<String>,
    clock: Arc<dyn Clock>,
}

impl FakeAwsBuilder {
    /// The port of the S3 server on 127.0.0.1. Default: 0, which takes any free port.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().s3_port(0).start().await?;
    /// assert_ne!(aws.s3().endpoint(), "http://127.0.0.1:0"); // a free one
    /// # Ok(())
    /// # }
    /// ```
    pub fn s3_port(mut self, port: u16) -> Self {
        self.s3_port = port;
        self
    }

    /// The port of the issuer on 127.0.0.1. Default: 0, which takes any free port.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// let taken = aws.issuer().sts_endpoint().rsplit(':').next().unwrap().parse()?;
    ///
    /// let error = FakeAws::builder().issuer_port(taken).start().await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    /// # Ok(())
    /// # }
    /// ```
    pub fn issuer_port(mut self, port: u16) -> Self {
        self.issuer_port = port;
        self
    }

    /// The lifetime of sessions; see [`Issuer::set_session_lifetime`]. Default: 15 minutes.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().session_lifetime(Duration::from_secs(3600)).start().await?;
    /// let remaining = aws.issuer().new_session().expires_at().unwrap().duration_since(SystemTime::now())?;
    /// assert!(remaining > Duration::from_secs(3000));
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// How long each request for credentials waits for its answer; see [`Issuer::set_delay`]. Default: zero.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_testing::VirtualClock;
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let aws = FakeAws::builder().clock(clock.clone()).delay(Duration::from_secs(2)).start().await?;
    ///
    /// let request = tokio::spawn(reqwest::get(aws.issuer().container_uri()));
    /// while aws.issuer().counts().container == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// clock.advance(Duration::from_secs(2));
    /// assert_eq!(request.await??.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The region in the environments and in IMDS. Signatures for other regions are accepted too. Default: `us-east-1`.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().region("eu-west-1").start().await?;
    /// assert!(aws.imds_env().contains(&("AWS_REGION", "eu-west-1".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Makes the container endpoint require this `Authorization` header: a request without it gets 401, one with another
    /// value 403. Default: none, every request is answered.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().container_authorization_token("secret").start().await?;
    /// assert_eq!(reqwest::get(aws.issuer().container_uri()).await?.status(), 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn container_authorization_token(mut self, token: impl Into<String>) -> Self {
        self.container_token = Some(token.into());
        self
    }

    /// The clock for everything that takes time here: the expiry of sessions and IMDS tokens, outages and delays. Give it
    /// the clock of the cache under test. The [module](super) documentation says what else reads a clock.
    ///
    /// Default: [`SystemClock`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use token_cache_core::Clock;
    /// use token_cache_testing::VirtualClock;
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let aws = FakeAws::builder().clock(clock.clone()).session_lifetime(Duration::from_secs(60)).start().await?;
    /// let session = aws.issuer().new_session();
    /// assert_eq!(session.expires_at(), Some(clock.now().wall() + Duration::from_secs(60)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts both servers, which accept requests once this returns. They run on a separate thread, so this future may be
    /// polled by any executor, and the servers outlive it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`], or another kind if a port cannot be bound; the message names the address. Also any error
    /// from creating the directory of the objects or the thread.
    ///
    /// ```
    /// use token_cache_testing::aws::FakeAws;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let aws = FakeAws::builder().start().await?;
    /// assert_eq!(reqwest::get(aws.issuer().container_uri()).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start(self) -> io::Result<FakeAws> {
        let s3_listener = bind(self.s3_port)?;
        let issuer_listener = bind(self.issuer_port)?;
        let directory = Directory::create()?;

        let long_term_key = AccessKey::long_term(Identity::user(), &mut rand::rng());
        let keys = SharedKeys::new(Arc::clone(&self.clock));
        keys.lock().insert(long_term_key.clone());

        let s3 = S3::new(s3_listener.local_addr()?, &directory.objects(), keys.clone())?;
        let settings = Settings { lifetime: self.session_lifetime, delay: self.delay, reuse: None };
        let (address, token) = (issuer_listener.local_addr()?, self.container_token);
        let issuer = Issuer::new(address, self.region, token, keys, settings, self.clock);
        let server = Server::start((s3_listener, s3.clone()), (issuer_listener, issuer.clone())).await?;
        Ok(FakeAws { s3, issuer, long_term_key, _server: server, _directory: directory })
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
            clock: Arc::new(SystemClock::new()),
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
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// The shortest that STS grants.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
